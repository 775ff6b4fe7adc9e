"""Kafka and Postgres as `make up` runs them: left alone while they live, back when they died, gone after `down`."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from deploy.local import databases, ports, processes
from deploy.local.certificates import ensure_certificates
from deploy.local.down import clean, down, status
from deploy.local.failures import SetupFailed
from deploy.local.places import Places, default_cache
from deploy.local.postgres import postgres_program, prepare_files, start_postgres, superuser_url, with_tls
from deploy.local.progress import Progress
from deploy.local.servers import ensure_kafka, ensure_postgres, named_kafka
from deploy.local.state import State
from tests.support.debian import Need, find_program

POSTGRES_WITH_TLS = Need(
    names=tuple(f"/usr/lib/postgresql/{version}/bin/postgres" for version in (18, 17, 16, 15)),
    packages=("postgresql",),
    unpacked=("usr/lib/postgresql/*/bin/postgres",),
)

quiet = Progress(lambda _: None)


@contextmanager
def taken(port: int) -> Iterator[None]:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((ports.LOCAL, port))
        holder.listen()
        yield


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    """In a folder of mode 700, as pytest makes them: where Postgres' account may not go when we are root."""
    made = Places(run=tmp_path / "run", cache=default_cache())
    made.run.mkdir()
    yield made
    clean(made, quiet)
    assert processes.left_over(made.run) == []
    assert not made.run.exists()


def kill(places: Places, name: str) -> int:
    pid = processes.living(places.run / "pids" / name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    processes.end(pid)
    return pid


def test_kafka_is_left_alone_comes_back_on_a_free_port_and_is_ended(places: Places) -> None:
    state = State()
    with taken(29_392):
        state.kafka_port = 29_392
        first = ensure_kafka(places, state, None, None, quiet)
    assert first.address != f"{ports.LOCAL}:29392"
    assert ensure_kafka(places, state, None, None, quiet) == first
    # The shell has sourced .run/env: that is still our own Kafka, not one that somebody brings.
    sourced = {"KAFKA_BOOTSTRAP_SERVERS": first.address, "KAFKA_PID": str(first.pid)}
    assert named_kafka(sourced, sourced) is None
    kill(places, "kafka")
    with taken(state.kafka_port), taken(state.kafka_controller_port):
        second = ensure_kafka(places, state, None, None, quiet)
    assert second.pid != first.pid
    assert second.address != first.address
    assert status(places, quiet)
    down(places, quiet)
    assert processes.left_over(places.run) == []


def test_postgres_is_left_alone_comes_back_with_its_data_and_is_ended(places: Places) -> None:
    state = State()
    files, first = ensure_postgres(places, state, None, quiet)
    passwords = {"codegen": "secret-1", "ranking": "secret-2"}
    for _ in range(2):
        asyncio.run(databases.ensure_schemas(superuser_url(files, state.postgres_port), passwords, renew=["codegen"]))
    assert ensure_postgres(places, state, None, quiet) == (files, first)
    kill(places, "postgres")
    with taken(state.postgres_port):
        _, second = ensure_postgres(places, state, None, quiet)
    assert second.address != first.address
    state.role_passwords = passwords
    asyncio.run(_own_schema_only(databases.our_url("codegen", state)))
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(_own_schema_only(databases.our_url("codegen", state).replace("secret-1", "guess")))
    down(places, quiet)
    assert processes.left_over(places.run) == []


def test_a_kafka_that_is_named_and_not_there_is_told(tmp_path: Path) -> None:
    places = Places(run=tmp_path, cache=default_cache())
    with pytest.raises(SetupFailed, match="unset the variable"):
        ensure_kafka(places, State(), named_kafka({"KAFKA_BOOTSTRAP_SERVERS": f"{ports.LOCAL}:1"}, {}), None, quiet)


def test_a_postgres_that_was_built_with_tls_speaks_nothing_else(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    found = find_program(POSTGRES_WITH_TLS)
    files = prepare_files(tmp_path, {**os.environ, "COUNTERFOIL_POSTGRES_BIN": str(found.path.parent)})
    secured = with_tls(files, ensure_certificates(tmp_path / "certificates"))
    assert secured is not None
    port = ports.free_port(29_432)
    program = postgres_program(tmp_path, secured, port)
    try:
        start_postgres(program, secured, ends_with_us=True)
        other = ensure_certificates(tmp_path / "others").authority
        asyncio.run(_tls_alone(superuser_url(secured, port), superuser_url(files, port), other))
    finally:
        processes.stop(program)
        shutil.rmtree(files.folder, ignore_errors=True)


async def _tls_alone(secured: str, plain: str, other: Path) -> None:
    connection = await asyncpg.connect(secured)
    try:
        assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is True
    finally:
        await connection.close()
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(f"{plain}?sslmode=disable")
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncpg.connect(f"{plain}?sslmode=verify-full&sslrootcert={other}")


async def _own_schema_only(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE mine (a integer)")
        assert await connection.fetchval("SELECT to_regclass('codegen.mine')::text") == "mine"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE ranking.not_mine (a integer)")
    finally:
        await connection.close()
