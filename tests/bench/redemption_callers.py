"""How long callers wait: 64 at once by HTTP, and records at a quarter of the top rate from append to outcome."""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import numpy as np

from shared.contracts.redemption import Outcome
from shared.contracts.topics import OUTCOMES, REQUESTS
from shared.kafka.following import TopicFollower, from_the_end
from shared.kafka.records import NewRecord, Record
from tests.bench.redemption_stage import PARTITIONS, measure, send_backlog, services, stage
from tests.faults.servers import PORTS
from tests.integration.redemption.world import TOKEN, World, codes_of, redeem
from tests.support.polling import poll_until

CLIENTS = 64
SECONDS = 10.0
TOP_EVENTS = int(os.environ.get("REDEMPTION_EVENTS", "100_000"))
EVERY_SECONDS = 0.02

_decode = msgspec.json.Decoder(Outcome)


async def run() -> dict[str, Any]:
    """One worker, everything on."""
    async with stage() as world:
        http = await _by_http(world)
    async with stage() as world:
        await send_backlog(world, TOP_EVENTS)
        with services(world, 1) as processes:
            top = await measure(world, TOP_EVENTS, processes)
    async with stage() as world:
        return {**http, **await _at_rate(world, top.rate / 4)}


async def _by_http(world: World) -> dict[str, Any]:
    """The parts by the outcome's own stamps: until the log has it, until it is decided, until the caller has the answer."""
    port = next(iter(PORTS)) + 5_000
    parts: list[tuple[float, float, float]] = []
    with services(world, 1, REDEMPTION_PORT=str(port)):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        connector = aiohttp.TCPConnector(limit=CLIENTS)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers, connector=connector) as session:
            await poll_until(lambda: _ready(session), 60, what="readiness")
            codes = iter(codes_of(range(1, 200_000)))
            numbers = itertools.count()
            await _ask(session, codes, numbers, [], time.monotonic() + 3)
            until, started = time.monotonic() + SECONDS, time.monotonic()
            await asyncio.gather(*(_ask(session, codes, numbers, parts, until) for _ in range(CLIENTS)))
            rate = len(parts) / (time.monotonic() - started)
    table = np.array(parts) * 1000
    whole = table.sum(axis=1)
    return {
        f"HTTP, {CLIENTS} clients, requests a second": round(rate),
        "HTTP, milliseconds p50": round(float(np.percentile(whole, 50)), 1),
        "HTTP, milliseconds p99": round(float(np.percentile(whole, 99)), 1),
        **{
            f"HTTP, share {name}": f"{table[:, part].sum() / whole.sum():.0%}"
            for part, name in enumerate(("until it is in the log", "until it is decided", "until the answer is there"))
        },
    }


async def _ask(
    session: aiohttp.ClientSession,
    codes: Iterator[str],
    numbers: Iterator[int],
    parts: list[tuple[float, float, float]],
    until: float,
) -> None:
    while time.monotonic() < until:
        body = redeem(f"http-{next(numbers)}", next(codes))
        del body["type"]
        sent = time.time()
        async with session.post("/v1/redemptions", json=body) as response:
            assert response.status == 200, await response.text()
            outcome = _decode.decode(await response.read())
        answered, appended, decided = time.time(), outcome.received_at.timestamp(), outcome.decided_at.timestamp()
        parts.append((appended - sent, decided - appended, answered - decided))


async def _ready(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _at_rate(world: World, rate: float) -> dict[str, Any]:
    waits: list[float] = []

    def arrived(_partition: int, records: Sequence[Record]) -> None:
        now = time.time()
        waits.extend(now - _decode.decode(record.value or b"").received_at.timestamp() for record in records)

    async with _following(world, arrived):
        with services(world, 1):
            await _send_at(world, rate, 3.0)
            await poll_until(lambda: len(waits) >= 1, 60, what="the first outcomes")
            await asyncio.sleep(3)
            waits.clear()
            sent = await _send_at(world, rate, SECONDS)
            await poll_until(lambda: len(waits) >= sent, 60, what="the last outcomes")
    milliseconds = np.array(waits) * 1000
    return {
        "events a second, a quarter of the top": round(rate),
        "append to outcome, milliseconds p50": round(float(np.percentile(milliseconds, 50)), 1),
        "append to outcome, milliseconds p99": round(float(np.percentile(milliseconds, 99)), 1),
    }


@asynccontextmanager
async def _following(world: World, arrived: Any) -> AsyncIterator[None]:
    follower = TopicFollower(world.kafka, {OUTCOMES.name: arrived}, start_at=from_the_end)
    task = asyncio.create_task(follower.run())
    try:
        await follower.wait_loaded()
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _send_at(world: World, rate: float, seconds: float) -> int:
    """Sends evenly, and returns how many."""
    count, started, sent = int(rate * seconds), time.monotonic(), 0
    name = f"pace-{time.time_ns()}"
    first = 1 + time.time_ns() % 500_000
    codes = codes_of(range(first, first + count + 1))
    each = max(1, int(rate * EVERY_SECONDS / PARTITIONS))
    for round_ in itertools.count():
        if sent >= count:
            return sent
        for partition in range(PARTITIONS):
            numbers = range(sent, min(sent + each, count))
            records = [_record(name, n, codes[n]) for n in numbers]
            await world.publisher.publish_batch(REQUESTS.name, partition, records)
            sent += len(records)
        await asyncio.sleep(max(0.0, started + (round_ + 1) * PARTITIONS * each / rate - time.monotonic()))
    return sent


def _record(name: str, number: int, code: str) -> NewRecord:
    request = redeem(f"{name}-{number}", code, player_id=f"{name}-{number}", occurred_at=datetime.now(UTC).isoformat())
    return NewRecord(code.encode(), msgspec.json.encode(request))
