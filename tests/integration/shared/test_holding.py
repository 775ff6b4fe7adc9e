"""A transaction that others wait for ends after a while, whatever its process does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from shared.postgres.connections import connect, hold
from shared.postgres.errors import is_retryable
from shared.postgres.halted import end_halted, ending_halted
from tests.support.halting import halted_in_copy

Database = Callable[[str], Awaitable[str]]


@pytest.fixture
async def url(database: Database) -> str:
    return await database("redemption")


async def _count(connection: asyncpg.Connection) -> None:
    await connection.execute("INSERT INTO campaign_counters (campaign_id) VALUES ('held')")


async def test_what_is_held_too_long_is_let_go(url: str) -> None:
    halted, other = await connect(url, schema="redemption"), await connect(url, schema="redemption")
    ends_by_itself = int(await other.fetchval("SHOW server_version_num")) >= 170_000
    await halted.execute("BEGIN")
    await halted.execute(hold(1))
    await _count(halted)
    await asyncio.sleep(1.5)
    if ends_by_itself:
        await asyncio.wait_for(_count(other), 1)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as ended:
            await _count(halted)
        assert is_retryable(ended.value)
    else:
        await halted.execute("ROLLBACK")
    for connection in (halted, other):
        await connection.close()


async def test_a_hold_can_be_taken_off(url: str) -> None:
    connection = await connect(url, schema="redemption")
    async with connection.transaction():
        await connection.execute(hold(1))
        await connection.execute(hold(0))
        await _count(connection)
        await asyncio.sleep(1.5)
        await connection.execute(hold())
    assert await connection.fetchval("SELECT count(*) FROM campaign_counters") == 1
    await connection.close()


async def test_who_waits_ends_one_that_is_halted_within_copy(url: str) -> None:
    """Postgres itself ends no such transaction: neither of its timeouts is looked at while it waits for the rows."""
    other, stranger = await connect(url, schema="redemption"), await connect(url, schema="ranking")
    counting = "INSERT INTO campaign_counters (campaign_id) VALUES ('held')"
    async with halted_in_copy(url, schema="redemption", statements=counting, table="campaign_counters", held_seconds=1):
        await asyncio.sleep(1.5)
        with pytest.raises(asyncpg.LockNotAvailableError):
            async with ending_halted(other):
                await other.execute("SET lock_timeout = 100; " + counting)
        assert await end_halted(stranger, 1) == 0
        assert await end_halted(other, 60) == 0
        assert await end_halted(other, 1) == 1
        await other.execute("SET lock_timeout = 4000; " + counting)
    for connection in (other, stranger):
        await connection.close()


async def test_readers_and_writers_that_go_on_are_left_alone(url: str) -> None:
    reader, writer, other = [await connect(url, schema="redemption") for _ in range(3)]
    async with reader.transaction(readonly=True), writer.transaction():
        await reader.fetch("SELECT * FROM campaign_counters")
        await _count(writer)
        await asyncio.sleep(1.5)
        await writer.execute("SELECT 1")
        assert await end_halted(other, 1) == 0
    for connection in (reader, writer, other):
        await connection.close()


async def test_rows_that_are_slow_to_come_are_waited_for(url: str) -> None:
    writer, other = await connect(url, schema="redemption"), await connect(url, schema="redemption")

    async def rows() -> AsyncIterator[bytes]:
        for number in range(20):
            yield f"slow {number}\n".encode()
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group, writer.transaction():
        await _count(writer)
        copying = group.create_task(writer.copy_to_table("campaign_counters", source=rows(), columns=["campaign_id"]))
        await asyncio.sleep(1.5)
        assert await end_halted(other, 1) == 0
        await copying
    for connection in (writer, other):
        await connection.close()
