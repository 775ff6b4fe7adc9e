"""The settings file of deployments, deploy/hosts.toml: environments, roles, hosts, ports."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from deploy.local.databases import SERVICES

HOSTS_FILE: Final = Path(__file__).resolve().parents[1] / "hosts.toml"
HOSTS_VARIABLE: Final = "COUNTERFOIL_HOSTS"


class DeployFailed(Exception):  # noqa: N818 (it is told to a person)
    """What is wrong and what to do, in one sentence; `lines` are the last words of the program that failed."""

    def __init__(self, sentence: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.lines = lines


class Role(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a service runs: a copy on each port of each host."""

    hosts: tuple[str, ...]
    ports: tuple[int, ...]


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One environment. A host is `name` or `name:port`; `root` and `environment` are folders on the hosts.

    `extras` are the project's that its releases are made with, in `requirements/<extra>.txt` each.
    """

    user: str
    root: str
    environment: str
    supervisor: Literal["systemd", "systemd-user", "supervisord"]
    roles: dict[str, Role]
    extras: tuple[Literal["tracing"], ...] = ()
    python: str = "python3"
    keep: int = 5
    ready_seconds: int = 60
    identity_file: str | None = None
    known_hosts: str | None = None

    @property
    def hosts(self) -> list[str]:
        """Every host once, in the order in which the roles name them."""
        return list(dict.fromkeys(host for role in self.roles.values() for host in role.hosts))

    @property
    def lock(self) -> str:
        """The name of the lock that an environment of a release is filled by."""
        return self.extras[0] if self.extras else "services"

    def release_of(self, version: str) -> str:
        """The release's name: `v1.2.0`, or `v1.2.0+tracing` with an extra, so that it lies beside the one without."""
        return "+".join([version, *dict.fromkeys(self.extras)])

    def copies(self) -> Iterator["Copy"]:
        """Every copy, in the order of a rollout: service by service, host by host."""
        for service in (name for name in SERVICES if name in self.roles):
            role = self.roles[service]
            yield from (Copy(service=service, host=host, port=port) for host in role.hosts for port in role.ports)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One process of a service. On its host it is known by `name`."""

    service: str
    host: str
    port: int

    @property
    def name(self) -> str:
        return f"{self.service}-{self.port}"


def read_environment(name: str, environment: Mapping[str, str] = os.environ) -> Environment:
    """The environment of that name. Raises DeployFailed with what is wrong in the file."""
    path = Path(environment.get(HOSTS_VARIABLE) or HOSTS_FILE)
    try:
        found = msgspec.convert(tomllib.loads(path.read_text())[name], Environment)
    except KeyError:
        raise DeployFailed(f"{path} has no [{name}]: add it, or name an environment that it has.") from None
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise DeployFailed(f"{path} cannot be used ({error}): mend it, then run this again.") from None
    unknown = set(found.roles) - set(SERVICES)
    if unknown or not found.roles:
        raise DeployFailed(
            f"{path}: the roles of [{name}] must be of {', '.join(SERVICES)}, not {', '.join(unknown) or 'none'}."
        )
    return found
