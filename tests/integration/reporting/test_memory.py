"""Files are streamed: what the service and its drawing process hold does not grow with the file."""

import io
import zipfile
from collections.abc import AsyncIterator

import asyncpg
import psutil
import pytest

from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from shared.postgres.connections import open_pool
from tests.integration.reporting.processes import process
from tests.integration.reporting.system import Database, Reporting, publish_reference
from tests.support.memory import peak_while
from tests.unit.reporting.history import make_history

STORES, ROWS = 35_000, 200_000
LEAST_BYTES, MOST_ADDED = 20_000_000, 10_000_000
"""How large the files are, and how much more the processes may hold while they are made."""

FILL = """
SELECT ensure_month('2026-11-01', '');
INSERT INTO batches (id, revision, campaign_id, state, codes, published_at)
VALUES ('large', 1, 'spring', 'published', 1, now());
INSERT INTO stores (id, revision, name, chain, region, country, hidden, test)
SELECT 'x-' || n, 1, 'A store with a name of its own, number ' || n, 'chain-' || n % 20, 'region-' || n % 50, 'US', false, false
FROM generate_series(1, {stores}) AS n;
INSERT INTO allotments (batch_id, store_id, first_serial, codes)
SELECT 'large', 'x-' || n, n * 10000, 2000 FROM generate_series(1, {stores}) AS n;
INSERT INTO ledger (campaign_id, occurred_at, redemption_id, event_id, platform, decided_at, serial, batch_id, store_id,
    store_region, player_id)
SELECT 'spring', '2026-11-01'::timestamptz + n * interval '1 second', md5(n::text), 'event-' || n, 'zork', now(), n, 'large',
    'x-' || n % {stores}, 'US-CA', 'player-' || n FROM generate_series(1, {rows}) AS n;
"""
Served = tuple[Reporting, psutil.Process]


@pytest.fixture
async def served(kafka: KafkaConnection, database: Database) -> AsyncIterator[Served]:
    url = await database("reporting")
    async with (
        Publisher(kafka) as publisher,
        process(kafka, url) as (reporting, service),
        open_pool(url, schema="reporting") as pool,
    ):
        await publish_reference(publisher, make_history(1))
        await reporting.wait_for(0)
        await _fill(pool)
        yield reporting, service


async def test_a_workbook_of_all_stores_takes_no_more_memory_than_one_of_a_single_store(served: Served) -> None:
    reporting, service = served
    path = "/v1/campaigns/spring/performance.xlsx"
    before, _ = await peak_while(service, lambda: _read(reporting, f"{path}?store_id=x-1"))
    peak, workbook = await peak_while(service, lambda: _read(reporting, path))
    with zipfile.ZipFile(io.BytesIO(workbook)) as book:
        assert sum(part.file_size for part in book.infolist()) > LEAST_BYTES
    assert peak - before < MOST_ADDED


async def test_a_ledger_takes_no_more_memory_than_a_row_of_it(served: Served) -> None:
    reporting, service = served
    path = "/v1/campaigns/spring/ledger.csv"
    before, _ = await peak_while(service, lambda: _read(reporting, f"{path}?skip_rows={ROWS - 1}"))
    peak, ledger = await peak_while(service, lambda: _read(reporting, path))
    assert len(ledger) > LEAST_BYTES
    assert peak - before < MOST_ADDED


async def _read(reporting: Reporting, path: str) -> bytes:
    async with await reporting.get(path, **{"Accept-Encoding": "identity"}) as response:
        assert response.status == 200
        return await response.read()


async def _fill(pool: asyncpg.Pool) -> None:
    for statement in FILL.format(stores=STORES, rows=ROWS).split(";\n"):
        if statement.strip():
            await pool.execute(statement, timeout=120)
