"""The real servers that tests run against: started once per session, or those that the environment names.

`COUNTERFOIL_TEST_KAFKA=host:port` and `COUNTERFOIL_TEST_POSTGRES=postgresql://superuser…` name servers that run already;
tests are set apart on them by topic prefixes and databases of their own, so several sessions may share a pair.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local import kafka, ports, postgres, processes
from deploy.local.places import default_cache

KAFKA_VARIABLE: Final = "COUNTERFOIL_TEST_KAFKA"
POSTGRES_VARIABLE: Final = "COUNTERFOIL_TEST_POSTGRES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Addresses of a running Kafka and a running Postgres; the latter as the superuser."""

    kafka_bootstrap_servers: str
    postgres_url: str


@contextmanager
def running_kafka(folder: Path) -> Iterator[str]:
    """A broker of its own in the folder, ended with the block. Gives host:port."""
    program = kafka.kafka_program(folder, default_cache(), options=(kafka.QUICK_START,))
    client = ports.free_port(_any_port())
    at = kafka.KafkaPorts(client=client, controller=ports.free_port(client + 1, but_not={client}))
    try:
        kafka.start_kafka(program, at, ends_with_us=True)
        yield f"{ports.LOCAL}:{at.client}"
    finally:
        processes.stop(program)


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """A server of its own in the folder, ended with the block, its data deleted. Gives the superuser's URL."""
    files = postgres.prepare_files(folder)
    port = ports.free_port(_any_port())
    program = postgres.postgres_program(folder, files, port)
    try:
        postgres.start_postgres(program, files, ends_with_us=True)
        yield postgres.superuser_url(files, port)
    finally:
        processes.stop(program)
        shutil.rmtree(files.folder, ignore_errors=True)


@contextmanager
def session_kafka() -> Iterator[str]:
    """The broker that the environment names, else one of its own."""
    with ExitStack() as stack:
        yield os.environ.get(KAFKA_VARIABLE) or stack.enter_context(running_kafka(_folder(stack, "kafka")))


@contextmanager
def session_postgres() -> Iterator[str]:
    """The superuser's URL of the server that the environment names, else of one of its own."""
    with ExitStack() as stack:
        yield os.environ.get(POSTGRES_VARIABLE) or stack.enter_context(running_postgres(_folder(stack, "postgres")))


def _any_port() -> int:
    """Where to look first: sessions that start at the same moment must not find the same port free."""
    return secrets.choice(ports.FREE_PORTS)


def _folder(stack: ExitStack, name: str) -> Path:
    """A new folder, deleted with the stack; open to the account that Postgres runs as when we are root."""
    folder = Path(
        stack.enter_context(tempfile.TemporaryDirectory(prefix=f"counterfoil-test-{name}-", ignore_cleanup_errors=True))
    )
    folder.chmod(0o711)
    return folder
