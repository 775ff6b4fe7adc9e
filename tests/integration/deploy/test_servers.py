"""Kafka and Postgres as `make up` runs them: left alone while they live, back when they died, gone after `down`."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from deploy.local import databases, ports, processes
from deploy.local.down import clean, down, status
from deploy.local.failures import SetupFailed
from deploy.local.places import Places, default_cache
from deploy.local.postgres import superuser_url
from deploy.local.progress import Progress
from deploy.local.servers import ensure_kafka, ensure_postgres
from deploy.local.state import State

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
        first = ensure_kafka(places, state, {}, {}, quiet)
    assert first.address != f"{ports.LOCAL}:29392"
    assert ensure_kafka(places, state, {}, {}, quiet) == first
    # The shell has sourced .run/env: that is still our own Kafka, not one that somebody brings.
    sourced = {"KAFKA_BOOTSTRAP_SERVERS": first.address, "KAFKA_PID": str(first.pid)}
    assert ensure_kafka(places, state, sourced, sourced, quiet) == first
    kill(places, "kafka")
    with taken(state.kafka_port), taken(state.kafka_controller_port):
        second = ensure_kafka(places, state, sourced, sourced, quiet)
    assert second.pid != first.pid
    assert second.address != first.address
    assert status(places, quiet)
    down(places, quiet)
    assert processes.left_over(places.run) == []


def test_postgres_is_left_alone_comes_back_with_its_data_and_is_ended(places: Places) -> None:
    state = State()
    files, first = ensure_postgres(places, state, quiet)
    passwords = {"codegen": "secret-1", "ranking": "secret-2"}
    for _ in range(2):
        asyncio.run(databases.ensure_schemas(superuser_url(files, state.postgres_port), passwords, renew=["codegen"]))
    assert ensure_postgres(places, state, quiet) == (files, first)
    kill(places, "postgres")
    with taken(state.postgres_port):
        _, second = ensure_postgres(places, state, quiet)
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
        ensure_kafka(places, State(), {"KAFKA_BOOTSTRAP_SERVERS": f"{ports.LOCAL}:1"}, {}, quiet)


async def _own_schema_only(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE mine (a integer)")
        assert await connection.fetchval("SELECT to_regclass('codegen.mine')::text") == "mine"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE ranking.not_mine (a integer)")
    finally:
        await connection.close()
