"""Reads over HTTP: a store's rank next to the same application asking Redis, and a page of 100 rows next to constant bytes.

One light client on keep-alive connections, in short turns, so that the servers are what is measured. The peer that asks Redis
is a route of the same framework, so that both pay for tokens, checks, metrics and headers alike. The page of 100 rows has two
peers that return its bytes constant: a bare aiohttp application at the same address, without middlewares (no tokens, limits,
metrics, request ids or security headers), which is how the aim of 0.9 is read here, the hardest way; and a route of the same
framework. Access logs are off on all sides. And the rank of one member among a million stores, next to SQL on Postgres.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from statistics import quantiles
from typing import Any

import asyncpg
import numpy as np
import uvloop
from aiohttp import web
from redis.asyncio import Redis

from services.ranking.app import WEB
from services.ranking.domain.boards import Counts, Measure, rank_all
from services.ranking.domain.calendar import EPOCH, Period, Window
from services.ranking.domain.roster import OVERALL, Roster, StoreFacts, StoreIndex
from services.ranking.domain.scores import Integers
from services.ranking.domain.tables import Table, TableName
from shared.contracts.codec import encode
from shared.contracts.codegen import Token
from shared.kafka.records import NewRecord
from shared.telemetry.logs import configure_logs
from shared.telemetry.readiness import Readiness
from shared.web.application import ServiceDescription, build_web_app, serving
from shared.web.pages import Pages
from shared.web.routes import Call, NoFields, Route
from shared.web.tokens import TokenDirectory, hash_token
from tests.bench.http_hammer import hammer
from tests.bench.ranking_load import PARTITIONS, outcomes, prepared, publish, service
from tests.bench.ranking_redis import BOARD, Peer, running_redis
from tests.integration.ranking.system import Reader
from tests.support.polling import poll_until

OUTCOMES_EACH = 5_000
CONNECTIONS = 16
TOP_100 = "/v1/campaigns/spring/leaderboard?limit=100"
TURN_SECONDS = 1.0
TURNS = 6
MEMBERS = 1_000_000
LOOKUPS = 20_000


async def run() -> dict[str, float]:
    """Requests a second and the slowest of a hundred, as ratios in one run."""
    async with prepared() as bench, service(bench) as (reader, _), running_redis() as peer:
        await publish(bench, {p: outcomes(OUTCOMES_EACH, partition=p) for p in range(PARTITIONS)})
        await poll_until(lambda: _is_loaded(reader), 60, what="the boards")
        page = await _bytes_of(reader)
        await _fill(peer)
        async with peer_service(peer, page) as (peer_url, bare_url):
            figures = await _rank_by_http(reader.url, peer_url) | await _top_100_by_http(reader.url, peer_url, bare_url)
    return {**figures, **await _among_a_million()}


async def _rank_by_http(url: str, peer_url: str) -> dict[str, float]:
    ours, redis = await _compare(f"{url}/v1/campaigns/spring/stores/s-00017/standing?around=0", f"{peer_url}/rank/s-00017")
    return _named("rank_by_http", ours, redis=redis)


async def _top_100_by_http(url: str, peer_url: str, bare_url: str) -> dict[str, float]:
    ours, constant, framed = await _compare(f"{url}{TOP_100}", f"{bare_url}{TOP_100}", f"{peer_url}/constant")
    return _named("top_100_by_http", ours, constant=constant, constant_in_the_same_framework=framed)


def _named(what: str, ours: list[float], **peers: list[float]) -> dict[str, float]:
    """Requests a second and the slowest of a hundred, ours and next to each peer."""
    found = {f"{what}_per_second": float(round(len(ours) / (TURNS * TURN_SECONDS))), f"{what}_p99_milliseconds": _p99(ours)}
    for peer, theirs in peers.items():
        found[f"{what}_times_{peer}"] = round(len(ours) / len(theirs), 2)
        found[f"{what}_p99_milliseconds_of_{peer}"] = _p99(theirs)
    return found


def _p99(times: list[float]) -> float:
    return round(quantiles(times, n=100)[98] * 1_000, 1)


async def _compare(*urls: str) -> list[list[float]]:
    """Seconds of each request of each side, asked in turns."""
    found: list[list[float]] = [[] for _ in urls]
    for _ in range(TURNS):
        for url, times in zip(urls, found, strict=True):
            asking = hammer(url, token="t-reports", seconds=TURN_SECONDS, connections=CONNECTIONS)
            times += await asyncio.to_thread(uvloop.run, asking)
    return found


@asynccontextmanager
async def peer_service(peer: Peer, page: bytes) -> AsyncIterator[tuple[str, str]]:
    """The same framework with the peers' handlers, and a bare application, in a process of its own: both addresses."""
    code = (
        "import sys; from tests.bench.ranking_reads import serve_peer; import uvloop; "
        "uvloop.run(serve_peer(int(sys.argv[1]), sys.stdin.buffer.read()))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(peer.port), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(page)
    process.stdin.close()
    url, bare_url = (await process.stdout.readline()).decode().split()
    try:
        yield url, bare_url
    finally:
        process.terminate()
        await process.wait()


async def serve_peer(redis_port: int, page: bytes) -> None:
    """Runs the peers' handlers until the process is ended; prints the addresses. Logs as the service of the benchmark does."""
    configure_logs(service="peer", level="warning", log_format="json")
    client = Redis(port=redis_port)

    async def rank(call: Call[NoFields, NoFields]) -> dict[str, Any]:
        store = call.path["store_id"]
        place = await client.zrevrank(BOARD, store)
        score = await client.zscore(BOARD, store)
        return {"store_id": store, "rank": (place or 0) + 1, "score": score}

    async def constant(_call: Call[NoFields, NoFields]) -> web.Response:
        return web.Response(body=page, content_type="application/json")

    async def nothing() -> None:
        return None

    routes = [
        Route(method="GET", path="/rank/{store_id}", handler=rank, summary="", scopes=("reports",)),
        Route(method="GET", path="/constant", handler=constant, summary="", scopes=("reports",)),
    ]
    tokens = TokenDirectory(refresh=nothing, age_seconds=lambda: 0.0)
    token = Token(revision=1, id="peer", sha256=hash_token("t-reports"), scopes=("reports",))
    tokens.apply(0, [NewRecord(b"peer", encode(token))])
    app = build_web_app(
        ServiceDescription(title="peer", description="", version="1"),
        routes,
        tokens=tokens,
        readiness=Readiness(),
        unavailable=lambda _error: False,
        pages=Pages(WEB),
    )
    async with serving(app, host="127.0.0.1", port=0) as url, _bare(page) as bare_url:
        print(url, bare_url, flush=True)
        await asyncio.Event().wait()


@asynccontextmanager
async def _bare(page: bytes) -> AsyncIterator[str]:
    """An aiohttp application of one handler and nothing else."""

    async def constant(_request: web.Request) -> web.Response:
        return web.Response(body=page, content_type="application/json")

    app = web.Application()
    app.router.add_get(TOP_100.partition("?")[0].replace("spring", "{campaign_id}"), constant)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _is_loaded(reader: Reader) -> bool:
    row = (await reader.leaderboard(limit=1))["rows"]
    return bool(row) and round(row[0]["score"] / row[0]["share"]) == OUTCOMES_EACH * PARTITIONS


async def _bytes_of(reader: Reader) -> bytes:
    headers = {"Authorization": "Bearer t-reports"}
    async with reader.session.get(f"{reader.url}/v1/campaigns/spring/leaderboard?limit=100", headers=headers) as response:
        return await response.read()


async def _fill(peer: Peer) -> None:
    pipeline = peer.client.pipeline(transaction=False)
    for number in range(10_000):
        pipeline.zincrby(BOARD, number % 97 + 1, f"s-{number:05}")
    await pipeline.execute()


async def _among_a_million() -> dict[str, float]:
    """Microseconds for the rank of one member, in memory and by SQL over the same scores."""
    scores = np.random.default_rng(5).integers(1, 100_000, MEMBERS)
    table, number_of = _table(scores)
    started = time.perf_counter()
    for lookup in range(LOOKUPS):
        table.standing(number_of(lookup))
    ours = (time.perf_counter() - started) / LOOKUPS
    ranked, counted = await _by_sql(scores)
    return {
        "rank_among_a_million_microseconds": round(ours * 1e6, 1),
        "rank_among_a_million_times_rank_over": round(ranked / ours),
        "rank_among_a_million_times_count": round(counted / ours),
    }


def _table(scores: Integers) -> tuple[Table, Callable[[int], int]]:
    index = StoreIndex()
    roster = Roster(index, (StoreFacts(id=f"s-{number:07}", name="") for number in range(MEMBERS)))
    counts = Counts(scores=scores, reached_at_us=np.zeros(MEMBERS, dtype=np.int64), issued=np.zeros(MEMBERS, dtype=np.int64))
    period = Period(window=Window.ALL, first_day=date(2026, 1, 1), last_day=date.max)
    name = TableName(campaign_id="spring", period=period, starts_at=EPOCH, ends_at=EPOCH, scope=OVERALL, by=Measure.COUNT)
    board = rank_all(roster, counts, Measure.COUNT)
    table = Table(name, roster=roster, known=roster, counts=counts, board=board, previous=np.zeros(MEMBERS, dtype=np.int64))
    table.standing(0)
    return table, lambda lookup: (lookup * 7_919) % MEMBERS


async def _by_sql(scores: Integers) -> tuple[float, float]:
    connection = await asyncpg.connect(os.environ["COUNTERFOIL_TEST_POSTGRES"])
    try:
        await connection.execute("CREATE TEMPORARY TABLE members (store_id text PRIMARY KEY, score bigint NOT NULL)")
        records = ((f"s-{number:07}", int(score)) for number, score in enumerate(scores))
        await connection.copy_records_to_table("members", records=records)
        await connection.execute("CREATE INDEX ON members (score)")
        await connection.execute("ANALYZE members")
        rank_over = (
            "SELECT rank FROM (SELECT store_id, rank() OVER (ORDER BY score DESC) FROM members) AS r WHERE store_id = $1"
        )
        count = "SELECT 1 + count(*) FROM members WHERE score > (SELECT score FROM members WHERE store_id = $1)"
        return await _seconds(connection, rank_over, 3), await _seconds(connection, count, 10)
    finally:
        await connection.close()


async def _seconds(connection: asyncpg.Connection, statement: str, times: int) -> float:
    started = time.perf_counter()
    for lookup in range(times):
        await connection.fetchval(statement, f"s-{(lookup * 7_919) % MEMBERS:07}")
    return (time.perf_counter() - started) / times
