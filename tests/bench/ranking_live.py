"""Freshness on two copies at five thousand events a second, and two thousand listeners of the live board."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice
from statistics import quantiles

import aiohttp
import psutil

from tests.bench.ranking_load import PARTITIONS, Bench, outcomes, prepared, publish, service
from tests.integration.ranking.system import CAMPAIGN, Reader

EVENTS_A_SECOND = 5_000
FRESH_SECONDS = 12
TICK_SECONDS = 0.1
LISTENERS = 2_000
CHANGES = 5


async def run() -> dict[str, float]:
    """Seconds from publishing to visible, and from a change to the last listener."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(65_536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    async with prepared() as bench, service(bench) as (reader, process):
        async with service(bench) as (other, _):
            fresh = await _freshness(bench, [reader, other])
        memory_before = psutil.Process(process.pid).memory_info().rss
        delays = await _listeners(bench, reader)
        memory_after = psutil.Process(process.pid).memory_info().rss
    return {
        "freshness_p50_milliseconds": round(quantiles(fresh, n=100)[49] * 1_000),
        "freshness_p99_milliseconds": round(quantiles(fresh, n=100)[98] * 1_000),
        "listeners": LISTENERS,
        "change_to_last_listener_milliseconds": round(max(delays) * 1_000),
        "memory_of_listeners_megabytes": round((memory_after - memory_before) / 1e6, 1),
    }


async def _freshness(bench: Bench, readers: Sequence[Reader]) -> list[float]:
    """Publishes a stream, and watches the sum on every copy's board reach each tick's total."""
    each = int(EVENTS_A_SECOND * TICK_SECONDS / PARTITIONS)
    streams = {p: iter(outcomes(each * int(FRESH_SECONDS / TICK_SECONDS), partition=p)) for p in range(PARTITIONS)}
    totals: list[tuple[int, float]] = []

    async def stream() -> None:
        begun = time.perf_counter()
        for tick in range(int(FRESH_SECONDS / TICK_SECONDS)):
            await publish(bench, {p: list(islice(records, each)) for p, records in streams.items()})
            totals.append(((tick + 1) * each * PARTITIONS, time.perf_counter()))
            await asyncio.sleep(begun + (tick + 1) * TICK_SECONDS - time.perf_counter())

    async def watch(reader: Reader) -> list[float]:
        delays = list[float]()
        while not task.done() or len(delays) < len(totals):
            row = next(iter((await reader.leaderboard(limit=1))["rows"]), None)
            total, now = round(row["score"] / row["share"]) if row else 0, time.perf_counter()
            while len(delays) < len(totals) and totals[len(delays)][0] <= total:
                delays.append(now - totals[len(delays)][1])
            await asyncio.sleep(0.01)
        return delays

    task = asyncio.create_task(stream())
    watched = await asyncio.gather(*(watch(reader) for reader in readers))
    await task
    return [max(delays) for delays in zip(*watched, strict=True)]


async def _listeners(bench: Bench, reader: Reader) -> list[float]:
    """From the end of publishing a change to the last listener's event, for some changes."""
    arrived: asyncio.Queue[float] = asyncio.Queue()
    published_each = int(EVENTS_A_SECOND * TICK_SECONDS / PARTITIONS) * int(FRESH_SECONDS / TICK_SECONDS)
    async with _listening(reader, arrived):
        delays = []
        for change in range(CHANGES):
            await asyncio.sleep(1.5)
            while not arrived.empty():
                arrived.get_nowait()
            await publish(bench, {0: outcomes(1, partition=0, first_offset=published_each + change)})
            published = time.perf_counter()
            moments = [await arrived.get() for _ in range(LISTENERS)]
            delays.append(max(moments) - published)
    return delays


@asynccontextmanager
async def _listening(reader: Reader, arrived: asyncio.Queue[float]) -> AsyncIterator[None]:
    headers = {"Authorization": "Bearer t-reports"}
    url = f"{reader.url}/v1/campaigns/{CAMPAIGN}/leaderboard/live?limit=20"

    async def listen(response: aiohttp.ClientResponse) -> None:
        async for line in response.content:
            if line.startswith(b"event: leaderboard"):
                arrived.put_nowait(time.perf_counter())

    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, headers=headers, timeout=aiohttp.ClientTimeout(total=None))
        )
        responses = [await session.get(url) for _ in range(LISTENERS)]
        tasks = [asyncio.create_task(listen(response)) for response in responses]
        for _ in range(LISTENERS):
            await arrived.get()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
