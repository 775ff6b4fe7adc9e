"""Migrations on a real Postgres: once, in order, unchanged afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from shared.postgres.migrations import MigrationError, migrate, pending

Database = Callable[[str], Awaitable[str]]


@pytest.fixture
async def url(postgres_server: str) -> str:
    return postgres_server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_create.sql").write_text("CREATE TABLE things (id int PRIMARY KEY);")
    return tmp_path


@pytest.fixture
async def schema(url: str, request: pytest.FixtureRequest) -> object:
    name = "migrations_" + "".join(c for c in request.node.name if c.isalpha() or c == "_")[:40]
    yield name
    connection = await asyncpg.connect(url)
    await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    await connection.close()


async def test_each_file_runs_once_even_when_two_start_together(url: str, folder: Path, schema: str) -> None:
    done = await asyncio.gather(*(migrate(url, folder, schema=schema) for _ in range(3)))
    assert sorted(map(len, done)) == [0, 0, 1]
    (folder / "0002_more.sql").write_text("ALTER TABLE things ADD name text;")
    assert await pending(url, folder, schema=schema) == ["0002_more.sql"]
    assert await migrate(url, folder, schema=schema) == ["0002_more.sql"]


async def test_a_file_that_fails_leaves_nothing(url: str, folder: Path, schema: str) -> None:
    (folder / "0002_more.sql").write_text("ALTER TABLE things ADD name text; SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(url, folder, schema=schema)
    (folder / "0002_more.sql").write_text("ALTER TABLE things ADD name text;")
    assert await migrate(url, folder, schema=schema) == ["0002_more.sql"]


async def test_a_file_that_changed_after_it_ran_is_refused(url: str, folder: Path, schema: str) -> None:
    await migrate(url, folder, schema=schema)
    (folder / "0001_create.sql").write_text("CREATE TABLE things (id bigint);")
    with pytest.raises(MigrationError, match=r"0001_create\.sql"):
        await migrate(url, folder, schema=schema)


async def test_an_older_program_refuses_a_newer_schema(url: str, folder: Path, schema: str) -> None:
    (folder / "0002_more.sql").write_text("ALTER TABLE things ADD name text;")
    await migrate(url, folder, schema=schema)
    (folder / "0002_more.sql").unlink()
    with pytest.raises(MigrationError, match="older than the schema"):
        await migrate(url, folder, schema=schema)
