"""Building aiokafka clients with the defaults of this project (`platform.md`), and telling their errors apart."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IllegalStateError, KafkaError

from shared.contracts.topics import LARGE_RECORD_BYTES
from shared.environment import KafkaConnection
from shared.kafka.errors import Retryable

METADATA_MAX_AGE_MILLISECONDS: Final = 15_000
"""New partitions are seen within this time (rule 10)."""

REQUEST_TIMEOUT_MILLISECONDS: Final = 15_000
FETCH_MAX_BYTES: Final = 8 * 1024 * 1024
PARTITION_FETCH_BYTES: Final = 1024 * 1024
"""An answer of the broker arrives in pieces, one a turn of the event loop, and has to be whole within the request's timeout.
For a busy process that took 0.54 s with six partitions of 4 MiB and 0.12 s with these, and all records came sooner. A record
that is larger is sent all the same, by itself (KIP-74)."""


@contextmanager
def outside() -> Iterator[None]:
    """Turns every error of the client library into Retryable: it means that Kafka is away, slow or moving."""
    try:
        yield
    except (KafkaError, IllegalStateError, OSError, TimeoutError) as error:
        raise Retryable(f"Kafka: {type(error).__name__}: {error}") from error
    except asyncio.CancelledError as error:
        # aiokafka cancels futures of its own when a broker goes away, and whoever awaits one would end in silence.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Retryable("Kafka: the client gave a request up") from error


def consumer(connection: KafkaConnection, **settings: Any) -> AIOKafkaConsumer:
    """A consumer that is not started. It never commits by itself and never resets a position."""
    defaults = {
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "metadata_max_age_ms": METADATA_MAX_AGE_MILLISECONDS,
        "request_timeout_ms": REQUEST_TIMEOUT_MILLISECONDS,
        "fetch_max_wait_ms": 200,
        "fetch_max_bytes": FETCH_MAX_BYTES,
        "max_partition_fetch_bytes": PARTITION_FETCH_BYTES,
    }
    return AIOKafkaConsumer(**_security(connection), **{**defaults, **settings})


def fetch_partitions_apart(consumer: AIOKafkaConsumer) -> None:
    """Lets no partition of a started consumer wait for another whose records are not taken yet.

    aiokafka asks a broker for nothing more while it holds records of any partition that are younger than 0.1 s and not taken: a
    loop that is busy with its batch keeps all others waiting. There is no setting for it (0.14). The attribute is read as well,
    so that an upgrade that renames it is noticed.
    """
    consumer._fetcher._prefetch_backoff *= 0.0  # noqa: SLF001


def producer(connection: KafkaConnection, **settings: Any) -> AIOKafkaProducer:
    """A producer that is not started; a record counts as written when all replicas in sync have it."""
    defaults = {
        "acks": "all",
        "max_batch_size": 1024 * 1024,
        "max_request_size": LARGE_RECORD_BYTES,
        "metadata_max_age_ms": METADATA_MAX_AGE_MILLISECONDS,
        "request_timeout_ms": REQUEST_TIMEOUT_MILLISECONDS,
    }
    return AIOKafkaProducer(**_security(connection), **{**defaults, **settings})


@asynccontextmanager
async def admin(connection: KafkaConnection) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client, started, and closed with the block."""
    client = AIOKafkaAdminClient(**_security(connection), request_timeout_ms=30_000)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


def _security(connection: KafkaConnection) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "bootstrap_servers": connection.bootstrap_servers,
        "security_protocol": connection.security_protocol,
    }
    if connection.security_protocol.endswith("SSL"):
        settings["ssl_context"] = ssl.create_default_context(cafile=str(connection.ca_file) if connection.ca_file else None)
    if connection.security_protocol.startswith("SASL"):
        settings["sasl_mechanism"] = "SCRAM-SHA-512"
        settings["sasl_plain_username"] = connection.username
        settings["sasl_plain_password"] = connection.password
    return settings
