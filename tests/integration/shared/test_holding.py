"""A transaction that others wait for ends after a while, whatever its process does."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from shared.postgres.connections import connect, hold
from shared.postgres.errors import is_retryable

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
