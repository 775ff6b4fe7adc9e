"""A Kafka and a Postgres of a test's own, that may be killed and started again, be reached by a wire, or run out of disk."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psutil

from deploy.local import kafka, ports, postgres, processes
from deploy.local.places import default_cache
from deploy.local.processes import Program

PORTS: Final = range(12_000, 19_000)
"""Apart from the ports that everything else of a test session takes: a dead server's port must be free when it comes back."""
GONE_SECONDS: Final = 20.0
CAP_SYS_ADMIN: Final = 21
STARTS_SOON: Final = ("-XX:TieredStopAtLevel=1",)
"""A broker that lives for seconds is up before it would pay to compile it well."""

SOON_FORGOTTEN: Final = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
"""A killed broker that comes back is let in once the controller has given up its former life, after nine seconds by default."""


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
    with _kafka(folder, _free_ports(2)) as server:
        yield server


@contextmanager
def wired_kafka(folder: Path, advertised_port: int) -> Iterator[tuple[Mortal, int]]:
    """A broker with a second entrance, whose port is given too, and which tells its clients to come by way of another port.

    A client asks a broker where to find it and goes there: a wire in between has to be what the broker names.
    """
    client, controller, entrance = taken = _free_ports(3)
    override = {
        "listeners": f"PLAINTEXT://127.0.0.1:{client},WIRED://127.0.0.1:{entrance},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{client},WIRED://127.0.0.1:{advertised_port},"
        f"CONTROLLER://127.0.0.1:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,WIRED:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }
    with _kafka(folder, taken, override) as server:
        yield server, entrance


@contextmanager
def _kafka(folder: Path, taken: list[int], override: Mapping[str, str] | None = None) -> Iterator[Mortal]:
    program = kafka.kafka_program(folder, default_cache(), options=STARTS_SOON)
    settings = {**SOON_FORGOTTEN, **(override or {})}
    options = [part for name, value in settings.items() for part in ("--override", f"{name}={value}")]
    program = replace(program, command=[*program.command, *options])
    at = kafka.KafkaPorts(client=taken[0], controller=taken[1])
    server = Mortal(f"{ports.LOCAL}:{at.client}", program, lambda: kafka.start_kafka(program, at, ends_with_us=True))
    server.start()
    try:
        yield server
    finally:
        processes.stop(program)


def _free_ports(count: int) -> list[int]:
    taken: list[int] = []
    for _ in range(count):
        taken.append(ports.free_port(secrets.choice(PORTS), but_not=set(taken)))
    return taken


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system of a server's own."""

    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        """Takes what is left."""
        with self._ballast.open("wb") as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(65_536))
                ballast.flush()

    def free(self) -> None:
        self._ballast.unlink()


def may_mount() -> bool:
    """Whether this process may mount file systems (CAP_SYS_ADMIN)."""
    capabilities = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")]
    return bool(capabilities) and bool(int(capabilities[0], 16) >> CAP_SYS_ADMIN & 1)


@contextmanager
def cramped_postgres(folder: Path) -> Iterator[tuple[Mortal, SmallDisk]]:
    """A server whose data are on a disk of 256 MB. Needs `may_mount`."""
    files = postgres.prepare_files(folder)
    owner = files.account.uid if files.account else os.getuid()
    options = f"size=256m,mode=700,uid={owner},gid={files.account.gid if files.account else os.getgid()}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(files.folder)], check=True)
    try:
        with _postgres(folder, postgres.prepare_files(folder), "-c", "max_wal_size=48MB", "-c", "min_wal_size=32MB") as server:
            yield server, SmallDisk(files.folder)
    finally:
        subprocess.run(["umount", "-l", str(files.folder)], check=True)


@contextmanager
def mortal_postgres(folder: Path) -> Iterator[Mortal]:
    with _postgres(folder, postgres.prepare_files(folder)) as server:
        yield server


@contextmanager
def _postgres(folder: Path, files: postgres.PostgresFiles, *options: str) -> Iterator[Mortal]:
    port = ports.free_port(secrets.choice(PORTS))
    program = postgres.postgres_program(folder, files, port)
    program = replace(program, command=[*program.command, *options])
    server = Mortal("", program, lambda: postgres.start_postgres(program, files, ends_with_us=True))
    server.start()
    try:
        yield Mortal(postgres.superuser_url(files, port), program, server.start)
    finally:
        processes.stop(program)
        shutil.rmtree(files.folder, ignore_errors=True)
