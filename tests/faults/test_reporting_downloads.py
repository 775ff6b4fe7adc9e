"""Clients that leave, and clients that dawdle: no query and no connection is kept for them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from shared.postgres.connections import open_pool
from tests.integration.reporting.system import Database, Reporting, publish_reference, reporting_service
from tests.support.polling import poll_until
from tests.unit.reporting.history import make_history

ROWS = 150_000
FILL = """INSERT INTO ledger (campaign_id, occurred_at, redemption_id, event_id, platform, decided_at, serial, batch_id,
    store_id, store_region, player_id)
SELECT 'spring', '2026-11-01'::timestamptz + n * interval '1 second', 'r-' || n, 'e-' || n, 'zork', now(), n, 'b-0', 's-0000',
    'US-CA', 'p-' || n % 1000 FROM generate_series(1, $1) AS n"""
ACTIVE = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state <> 'idle' AND query LIKE 'COPY%' AND pid <> pg_backend_pid()"""


@pytest.fixture
async def url(database: Database) -> str:
    return await database("reporting")


@pytest.fixture
async def pool(url: str) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(url, schema="reporting") as opened:
        await opened.execute("SELECT ensure_month('2026-11-01', '')")
        await opened.execute(FILL, ROWS, timeout=120)
        yield opened


@pytest.fixture
async def reporting(kafka: KafkaConnection, url: str) -> AsyncIterator[Reporting]:
    async with (
        Publisher(kafka) as publisher,
        reporting_service(kafka, url, REPORTING_TIMER="false", REPORTING_DOWNLOADS="2") as service,
    ):
        await publish_reference(publisher, make_history(1))
        await service.wait_for(0)
        yield service


async def begun_and_unread(reporting: Reporting, file: str = "ledger.csv") -> socket.socket:
    """A connection that asked for a file and takes nothing of it."""
    at = urlsplit(reporting.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (at.hostname, at.port))
    request = f"GET /v1/campaigns/spring/{file} HTTP/1.1\r\nHost: {at.netloc}\r\nAuthorization: Bearer t-reports\r\n\r\n"
    await loop.sock_sendall(connection, request.encode())
    return connection


async def test_a_client_that_leaves_leaves_no_query_running(pool: asyncpg.Pool, reporting: Reporting) -> None:
    connection = await begun_and_unread(reporting)
    await poll_until(lambda: pool.fetchval(ACTIVE), what="the query of the download")
    connection.close()

    async def none_active() -> bool:
        return bool(await pool.fetchval(ACTIVE) == 0)

    await poll_until(none_active, what="the end of the query")
    assert len((await reporting.text("/v1/campaigns/spring/ledger.csv?header=plain")).splitlines()) == ROWS + 1


async def test_a_client_that_leaves_before_the_first_row_leaves_no_query_running(
    pool: asyncpg.Pool, reporting: Reporting
) -> None:
    """The query waits for a lock, as a long one would work: nothing was sent that could fail to arrive."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE stores IN ACCESS EXCLUSIVE MODE")
        for path in ("performance.csv", "performance.xlsx"):
            leaving = await begun_and_unread(reporting, path)
            await poll_until(lambda: pool.fetchval(ACTIVE), what="the query of the download")
            leaving.close()

            async def none_active() -> bool:
                return bool(await pool.fetchval(ACTIVE) == 0)

            await poll_until(none_active, 2.5, every_seconds=0.1, what="its end, well before the lock would time out")


async def test_slow_clients_do_not_keep_figures_from_others(pool: asyncpg.Pool, reporting: Reporting) -> None:
    dawdling = [await begun_and_unread(reporting) for _ in range(2)]
    try:

        async def both_active() -> bool:
            return bool(await pool.fetchval(ACTIVE) == 2)

        await poll_until(both_active, what="both downloads")
        async with asyncio.timeout(20):
            assert (await reporting.json("/v1/campaigns/spring/summary"))["campaign_id"] == "spring"
            async with await reporting.get("/v1/campaigns/spring/charts/daily.svg") as chart:
                assert chart.status == 200
        async with await reporting.get("/v1/campaigns/spring/performance.csv") as third:
            assert third.status == 503, "a third download is asked to come back, not left hanging"
            assert third.headers["Retry-After"]
    finally:
        for connection in dawdling:
            connection.close()
