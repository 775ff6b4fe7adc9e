"""Outcomes a second from the topic to all boards and to the table, ten thousand stores.

The service runs as a process with every board (windows, scopes, both measures) asked for once, so that all are kept; it is
halted while the backlog is laid, then let go. The clock stops when the last outcome is on the boards and in the table.
"""

import asyncio
import time

import asyncpg

from shared.kafka.records import NewRecord
from tests.bench.ranking_load import (
    CHAINS,
    PARTITIONS,
    PEER_GROUPS,
    REGIONS,
    Bench,
    folded,
    outcomes,
    prepared,
    publish,
    service,
    stopped,
)
from tests.bench.ranking_redis import benchmark_program, in_pipelines, one_by_one, running_redis
from tests.integration.ranking.system import Reader
from tests.support.polling import poll_until

OUTCOMES_COUNT = 300_000
PIPED_COUNT = 60_000
SINGLE_COUNT = 3_000
DEADLINE_SECONDS = 240
BOARDS = [
    {"window": window, "scope": scope, "by": by, "limit": "1"}
    for window in ("day", "week", "month", "all")
    for scope in [
        "all",
        *(f"region:r-{n}" for n in range(REGIONS)),
        *(f"chain:c-{n}" for n in range(CHAINS)),
        *(f"peer:p-{n}" for n in range(PEER_GROUPS)),
    ]
    for by in ("count", "rate")
]


async def run() -> dict[str, float]:
    """Outcomes a second, applied and durable, next to Redis on the same backlog."""
    each = OUTCOMES_COUNT // PARTITIONS
    backlog = {partition: outcomes(each, partition=partition) for partition in range(PARTITIONS)}
    async with prepared() as bench:
        ours = await _ours(bench, backlog)
        async with running_redis() as peer:
            piped = await in_pipelines(bench, peer, PIPED_COUNT)
            single = await one_by_one(bench, peer, SINGLE_COUNT)
            program = benchmark_program(peer, OUTCOMES_COUNT)
    applied = ours["applied_and_durable_per_second"]
    return {
        **ours,
        "redis_one_by_one_per_second": round(single),
        "redis_pipelines_of_1000_per_second": round(piped),
        "redis_benchmark_p50_per_second": round(program),
        "times_redis_one_by_one": round(applied / single, 1),
        "times_redis_pipelines": round(applied / piped, 2),
        "times_redis_benchmark": round(applied / program, 2),
    }


async def _ours(bench: Bench, backlog: dict[int, list[NewRecord]]) -> dict[str, float]:
    async with service(bench) as (reader, process):
        for board in BOARDS:
            await reader.leaderboard(**board)
        with stopped(process):
            await publish(bench, backlog)
            started = time.perf_counter()
        on_boards, in_table = await asyncio.gather(_until_on_boards(reader, started), _until_in_table(bench, started))
    return {
        "outcomes": OUTCOMES_COUNT,
        "boards_kept": len(BOARDS),
        "on_boards_per_second": round(OUTCOMES_COUNT / on_boards),
        "in_table_per_second": round(OUTCOMES_COUNT / in_table),
        "applied_and_durable_per_second": round(OUTCOMES_COUNT / max(on_boards, in_table)),
    }


async def _until_on_boards(reader: Reader, started: float) -> float:
    async def is_complete() -> bool:
        _, body = await reader.get("/v1/campaigns/spring/leaderboard", limit=1)
        row = body["rows"][0] if body["rows"] else None
        return bool(row and round(row["score"] / row["share"]) == OUTCOMES_COUNT)

    await poll_until(is_complete, DEADLINE_SECONDS, every_seconds=0.1, what="the boards")
    return time.perf_counter() - started


async def _until_in_table(bench: Bench, started: float) -> float:
    connection = await asyncpg.connect(bench.database_url)

    async def is_complete() -> bool:
        return await folded(connection) == OUTCOMES_COUNT

    await poll_until(is_complete, DEADLINE_SECONDS, every_seconds=0.1, what="the table")
    await connection.close()
    return time.perf_counter() - started
