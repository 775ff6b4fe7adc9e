"""Numbered SQL files, run in order, each once, in a transaction of its own, under a lock: a job, never part of a start.

A file that was run must not change: its checksum is kept and compared.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

_FILE = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
LOCK_NUMBER: Final = 0x0C0F0117


class MigrationError(Exception):
    """The schema and the files do not fit together. The text says which file and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `number` is its first four digits."""

    number: int
    name: str
    statements: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.statements.encode()).hexdigest()


def read_migrations(folder: Path) -> list[Migration]:
    """The folder's migrations in order. Raises MigrationError for a gap, a number twice or a name unlike `0001_words.sql`."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.match(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: name migrations like 0001_create_tables.sql")
        found.append(Migration(int(match[1]), path.name, path.read_text()))
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationError(f"{folder}: migrations must be numbered 1 to {len(found)} without gaps, not {numbers}")
    return found


async def migrate(url: str, folder: Path, *, schema: str) -> list[str]:
    """Brings the schema up to the folder's last migration, and returns the names of the files that were run.

    The role of the URL must own the schema, or be allowed to create it. Replaying changes nothing.
    Raises MigrationError when a file that was run has changed or is missing, and asyncpg's errors as they come.
    """
    migrations = read_migrations(folder)
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_NUMBER)
        await _ensure_bookkeeping(connection, schema)
        done = {row["number"]: row for row in await connection.fetch("SELECT number, name, checksum FROM schema_migrations")}
        _refuse_differences(migrations, {n: (row["name"], row["checksum"]) for n, row in done.items()})
        return [await _run(connection, migration) for migration in migrations if migration.number not in done]
    finally:
        await connection.close()


async def pending(url: str, folder: Path, *, schema: str) -> list[str]:
    """The names of the migrations that the schema does not have yet."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        known = await connection.fetchval("SELECT to_regclass($1)", f"{schema}.schema_migrations")
        if known is None:
            return [migration.name for migration in read_migrations(folder)]
        await connection.execute("SELECT set_config('search_path', $1, false)", schema)
        done = {row["number"] for row in await connection.fetch("SELECT number FROM schema_migrations")}
        return [migration.name for migration in read_migrations(folder) if migration.number not in done]
    finally:
        await connection.close()


async def _ensure_bookkeeping(connection: asyncpg.Connection, schema: str) -> None:
    if not re.fullmatch(r"[a-z_]+", schema):
        raise MigrationError(f"{schema!r} is not a schema's name")
    if not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema):
        await connection.execute(f"CREATE SCHEMA {schema}")
    await connection.execute("SELECT set_config('search_path', $1, false)", schema)
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
        " run_at timestamptz NOT NULL DEFAULT now())"
    )


def _refuse_differences(migrations: list[Migration], done: dict[int, tuple[str, str]]) -> None:
    files = {migration.number: migration for migration in migrations}
    for number, (name, checksum) in done.items():
        if number not in files:
            raise MigrationError(
                f"{name} was run on this schema but is not among the files: this program is older than the schema"
            )
        if files[number].checksum != checksum:
            raise MigrationError(f"{name} was changed after it was run: restore it, and put the change into a new migration")


async def _run(connection: asyncpg.Connection, migration: Migration) -> str:
    async with connection.transaction():
        await connection.execute(migration.statements)
        await connection.execute(
            "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.checksum,
        )
    return migration.name
