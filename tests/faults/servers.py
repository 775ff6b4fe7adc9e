"""A Kafka and a Postgres of a test's own, that may be killed and started again."""

import os
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from deploy.local import kafka, ports, postgres, processes
from deploy.local.places import default_cache
from deploy.local.processes import Program

PORTS: Final = range(12_000, 19_000)
"""Apart from the ports that everything else of a test session takes: a dead server's port must be free when it comes back."""
GONE_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Mortal:
    """A server that can be killed with SIGKILL and started again on the same data and port."""

    address: str
    program: Program
    start: Callable[[], int]

    def kill(self) -> None:
        """The server and its children; returns when they are gone."""
        pid = processes.living(self.program.pid_file)
        assert pid is not None
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        os.kill(pid, signal.SIGKILL)
        _, left = psutil.wait_procs(family, timeout=GONE_SECONDS)
        assert not left, "the server's processes are still there"


@contextmanager
def mortal_kafka(folder: Path) -> Iterator[Mortal]:
    program = kafka.kafka_program(folder, default_cache())
    client = ports.free_port(secrets.choice(PORTS))
    at = kafka.KafkaPorts(client=client, controller=ports.free_port(client + 1, but_not={client}))
    server = Mortal(f"{ports.LOCAL}:{client}", program, lambda: kafka.start_kafka(program, at, ends_with_us=True))
    server.start()
    try:
        yield server
    finally:
        processes.stop(program)


@contextmanager
def mortal_postgres(folder: Path) -> Iterator[Mortal]:
    files = postgres.prepare_files(folder)
    port = ports.free_port(secrets.choice(PORTS))
    program = postgres.postgres_program(folder, files, port)
    server = Mortal("", program, lambda: postgres.start_postgres(program, files, ends_with_us=True))
    server.start()
    try:
        yield Mortal(postgres.superuser_url(files, port), program, server.start)
    finally:
        processes.stop(program)
        shutil.rmtree(files.folder, ignore_errors=True)
