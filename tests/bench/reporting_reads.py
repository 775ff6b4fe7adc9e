"""Files by HTTP next to psql's own \\copy of the same query, performance next to GROUP BY over the ledger, charts when kept.

Five million redemptions at 5,000 stores, facts and totals as folding would have made them; the report: a tenth of that at 500.
"""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from deploy.local.postgres_programs import find_binaries
from services.reporting.store.reading import queries
from shared.kafka.publishing import Publisher
from shared.postgres.connections import open_pool
from tests.integration.reporting.processes import process
from tests.integration.reporting.system import Reporting, publish_reference
from tests.support.databases import Databases
from tests.support.memory import peak_while
from tests.support.topics import own_topics
from tests.unit.reporting.history import make_history

ROWS = int(os.environ.get("COUNTERFOIL_BENCH_ROWS", 5_000_000))
LEDGER_ROWS = ROWS * 11 // 25
STORES = 5_000
REPORT_ROWS, REPORT_STORES = ROWS // 10, 500
REPORT = "/v1/campaigns/spring/report.pdf"
FILL = Path(__file__).with_name("reporting_fill.sql")


async def run() -> dict[str, Any]:
    """Rows a second, ratios, and the memory of the service while it streams."""
    async with _filled(ROWS, STORES) as (reporting, service, pool, url):
        figures = {
            **await _ledger(reporting, service, url),
            **await _performance(reporting, pool),
            **await _workbook(reporting, service),
            **await _running_sums(reporting, pool),
            **await _chart(reporting),
        }
    async with _filled(REPORT_ROWS, REPORT_STORES) as (reporting, *_):
        a4 = await _seconds(lambda: _read(reporting, f"{REPORT}?paper=a4"), times=1)
        letter = await _seconds(lambda: _read(reporting, f"{REPORT}?paper=letter"), times=1)
    figures["report.pdf of 500 stores by HTTP, seconds"] = round(min(a4, letter), 2)
    return figures


@asynccontextmanager
async def _filled(rows: int, stores: int) -> AsyncIterator[tuple[Reporting, psutil.Process, asyncpg.Pool, str]]:
    """A service on a database with that many redemptions at that many stores."""
    databases = Databases(superuser_url=os.environ["COUNTERFOIL_TEST_POSTGRES"])
    url = await databases.make("reporting")
    try:
        async with own_topics(os.environ["COUNTERFOIL_TEST_KAFKA"]) as kafka, Publisher(kafka) as publisher:
            await publish_reference(publisher, make_history(1))
            async with process(kafka, url) as (reporting, service), open_pool(url, schema="reporting") as pool:
                await reporting.wait_for(0)
                await pool.execute(FILL.read_text().replace(":rows", str(rows)).replace(":stores", str(stores)), timeout=1200)
                await pool.execute("VACUUM ANALYZE", timeout=600)
                yield reporting, service, pool, url
    finally:
        await databases.drop(url)
        await databases.drop_all()


async def _ledger(reporting: Reporting, service: psutil.Process, url: str) -> dict[str, Any]:
    """The rows of the first eleven days: by HTTP, and by psql with the same query."""
    until = "2026-11-11"
    path = f"/v1/campaigns/spring/ledger.csv?header=plain&to={until}"
    before, _ = await peak_while(service, lambda: _stream(reporting, f"{path}&skip_rows={LEDGER_ROWS - 1}"))
    started = time.perf_counter()
    highest, (received, rows) = await peak_while(service, lambda: _stream(reporting, path))
    ours = time.perf_counter() - started
    started = time.perf_counter()
    copied = await _by_psql(url, until)
    theirs = time.perf_counter() - started
    return {
        "ledger.csv, rows": rows - 1,
        "ledger.csv, rows a second": round(rows / ours),
        "ledger.csv, megabytes a second": round(received / ours / 1e6, 1),
        "the same by psql, rows a second": round(copied / theirs),
        "ledger.csv, times psql's rows a second": round((rows / ours) / (copied / theirs), 2),
        "service while it sends a row of it, MB at most": round(before / 1e6),
        "service while it sends all of it, MB at most": round(highest / 1e6),
    }


async def _stream(reporting: Reporting, path: str) -> tuple[int, int]:
    """The bytes and the lines of a file, none of which is kept."""
    received = rows = 0
    async with await reporting.get(path, **{"Accept-Encoding": "identity"}) as response:
        assert response.status == 200
        async for chunk in response.content.iter_any():
            received += len(chunk)
            rows += chunk.count(b"\n")
    return received, rows


async def _by_psql(url: str, until: str) -> int:
    query = "\n".join(line for line in queries.ledger_csv.splitlines() if not line.startswith("--"))
    values = {
        "$1": "'spring'",
        "$2": "'2026-10-20T04:00:00Z'",
        "$3": f"'{until}T05:00:00Z'::timestamptz + interval '1 day'",
        "$4": "NULL",
        "$5": "false",
        "$6": "0",
    }
    for name, value in values.items():
        query = query.replace(name, value)
    statement = f"\\copy ({' '.join(query.split())}) to stdout with (format csv)"
    psql = find_binaries() / "psql"
    process = await asyncio.create_subprocess_exec(
        str(psql), url, "-qc", "SET search_path = reporting; SET jit = off", "-c", statement, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    rows = 0
    while chunk := await process.stdout.read(1 << 18):
        rows += chunk.count(b"\n")
    assert await process.wait() == 0
    return rows


async def _performance(reporting: Reporting, pool: asyncpg.Pool) -> dict[str, Any]:
    """Ever (from the totals) and of a period (from the ledger), next to the plain GROUP BY for the same figures."""
    group_by = """SELECT l.store_id, count(*), count(r.redemption_id), count(r.redemption_id) FILTER (WHERE r.reopens),
        count(DISTINCT (l.platform, l.player_id)) FILTER (WHERE r.redemption_id IS NULL), min(l.occurred_at), max(l.occurred_at)
    FROM ledger AS l LEFT JOIN reversals AS r
        ON r.campaign_id = l.campaign_id AND r.redeemed_at = l.occurred_at AND r.redemption_id = l.redemption_id
    WHERE l.campaign_id = 'spring' GROUP BY l.store_id"""
    ours = await _seconds(lambda: reporting.text("/v1/campaigns/spring/performance.csv"), times=5)
    week = "/v1/campaigns/spring/performance.csv?from=2026-11-01&to=2026-11-07"
    period = await _seconds(lambda: reporting.text(week), times=1)
    plain = await _seconds(lambda: pool.fetch(group_by, timeout=600), times=1)
    return {
        "performance.csv of 5,000 stores, milliseconds": _thousandths(ours),
        "performance.csv of a week, milliseconds": _thousandths(period),
        "GROUP BY over the ledger, milliseconds": _thousandths(plain),
        "performance.csv, times as fast": round(plain / ours, 1),
    }


async def _workbook(reporting: Reporting, service: psutil.Process) -> dict[str, Any]:
    """The workbook of all stores, and what the service and its drawing process hold meanwhile, next to that of one store."""
    path = "/v1/campaigns/spring/performance.xlsx"
    before, _ = await peak_while(service, lambda: _read(reporting, f"{path}?store_id=s-00001"))
    started = time.perf_counter()
    highest, workbook = await peak_while(service, lambda: _read(reporting, path))
    return {
        "performance.xlsx of 5,000 stores, seconds": round(time.perf_counter() - started, 2),
        "performance.xlsx, kilobytes": round(len(workbook) / 1e3),
        "service and drawing, one store, MB at most": round(before / 1e6),
        "service and drawing, 5,000 stores, MB at most": round(highest / 1e6),
    }


async def _running_sums(reporting: Reporting, pool: asyncpg.Pool) -> dict[str, Any]:
    """What pages poll: the summary, whose players are counted as they come, next to counting them; and days to redeem."""
    each = "SELECT count(*) FROM (SELECT FROM store_players WHERE redemptions > 0 GROUP BY platform, player_id) AS players"
    days = "/v1/campaigns/spring/charts/days-to-redeem.json"
    of_region = f"{days}?region=region-1"
    return {
        "summary, milliseconds": _thousandths(await _seconds(lambda: reporting.text("/v1/campaigns/spring/summary"), times=1)),
        "counting each player, milliseconds": _thousandths(await _seconds(lambda: pool.fetchval(each, timeout=600), times=1)),
        "days-to-redeem.json, milliseconds": _thousandths(await _seconds(lambda: reporting.text(days), times=1)),
        "days-to-redeem.json of a region, milliseconds": _thousandths(
            await _seconds(lambda: reporting.text(of_region), times=1)
        ),
    }


def _thousandths(seconds: float) -> int:
    return round(seconds * 1000)


async def _chart(reporting: Reporting) -> dict[str, Any]:
    path = "/v1/campaigns/spring/charts/top-stores.png"
    cold = await _seconds(lambda: _read(reporting, f"{path}?theme=dark"), times=1)
    kept = await _seconds(lambda: _read(reporting, f"{path}?theme=dark"), times=20)
    return {"chart by HTTP, cold, milliseconds": _thousandths(cold), "kept, milliseconds": round(kept * 1000, 1)}


async def _read(reporting: Reporting, path: str) -> bytes:
    async with await reporting.get(path) as response:
        assert response.status == 200
        return await response.read()


async def _seconds(work: Callable[[], Awaitable[Any]], *, times: int) -> float:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
