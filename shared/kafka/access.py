"""Who may do what on the broker: grants as data, written as the broker's access control lists."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest

from shared.environment import KafkaConnection
from shared.kafka import clients

ANY_HOST: Final = "*"
ALLOW: Final = 3


class Resource(IntEnum):
    """The protocol's numbers (KIP-140)."""

    TOPIC = 2
    GROUP = 3


class Operation(IntEnum):
    """The protocol's numbers. READ and WRITE imply DESCRIBE."""

    READ = 3
    WRITE = 4
    DESCRIBE = 8


class Pattern(IntEnum):
    """Whether a grant is for the name or for every name that begins with it."""

    LITERAL = 3
    PREFIXED = 4


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Grant:
    """A user may do one thing with one topic or group, or with every group that begins with the name."""

    user: str
    operation: Operation
    resource: Resource
    name: str
    pattern: Pattern = Pattern.LITERAL


class GrantRefused(Exception):  # noqa: N818 (what the broker did)
    """The broker keeps no grants, or lets this user write none; the sentence says which."""


async def grant(connection: KafkaConnection, grants: Iterable[Grant]) -> None:
    """Writes the grants, from any host. One that is there already is left as it is; none is taken away.

    Raises GrantRefused when the broker refuses one, and Retryable when it is not there.
    """
    with clients.outside():
        async with clients.admin(connection) as admin:
            for one in grants:
                request = CreateAclsRequest(
                    one.resource,
                    connection.physical(one.name),
                    one.pattern,
                    f"User:{one.user}",
                    ANY_HOST,
                    one.operation,
                    ALLOW,
                )
                response = await admin._send_to_controller(request)  # noqa: SLF001 (the client has no public call for it)
                for code, message in response.creation_responses:
                    if code:
                        what = f"{one.user} may {one.operation.name.lower()} {one.resource.name.lower()} {one.name}"
                        raise GrantRefused(f"Kafka does not take the grant that {what}: {for_code(code).__name__}: {message}")
