"""Where redemption's benchmarks play: topics and a ledger of their own, a backlog of requests, workers as processes."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import psutil

from deploy.local.places import CHECKOUT
from shared.contracts.topics import OUTCOMES, REQUESTS
from shared.kafka.records import NewRecord
from tests.integration.redemption.world import World, codes_of, new_world, redeem
from tests.support.databases import Databases
from tests.support.topics import own_topics

PARTITIONS = 6
CODES = 1_000_000
LIMITS = {"per_player": 3}
SENT_TOGETHER = 100_000
SETTLED_SECONDS = 8.0
PATIENT = {"REDEMPTION_SESSION_TIMEOUT_MILLISECONDS": "60000"}


@asynccontextmanager
async def stage(limits: Mapping[str, int | None] | None = None, *, codes: int = CODES) -> AsyncIterator[World]:
    """A world with a million codes (or so many) in one campaign, whose limit per player is on unless told otherwise."""
    databases = Databases(superuser_url=os.environ["COUNTERFOIL_TEST_POSTGRES"])
    url = await databases.make("redemption")
    try:
        async with (
            own_topics(os.environ["COUNTERFOIL_TEST_KAFKA"], partitions=PARTITIONS) as kafka,
            new_world(kafka, url) as world,
        ):
            await world.publish_campaign(limits=limits or LIMITS)
            await world.publish_batch(codes=codes)
            yield world
    finally:
        await databases.drop(url)
        await databases.drop_all()


async def send_backlog(world: World, count: int, *, seed: int = 1, codes: int = CODES) -> None:
    """As real traffic: nine in ten a good code of a player of their own, the rest sent again, mistyped or guessed."""
    choose = random.Random(seed)
    serials = choose.sample(range(1, codes + 1), count)
    for start in range(0, count, SENT_TOGETHER):
        sent = _requests(choose, serials[start : start + SENT_TOGETHER], f"zork-{seed}-{start}")
        for partition, records in enumerate(sent):
            await world.publisher.publish_batch(REQUESTS.name, partition, records)


def _requests(choose: random.Random, serials: Sequence[int], name: str) -> list[list[NewRecord]]:
    """By partition."""
    now = datetime.now(UTC).isoformat()
    sent: list[list[NewRecord]] = [[] for _ in range(PARTITIONS)]
    for number, good in enumerate(codes_of(serials)):
        records, kind = sent[number % PARTITIONS], choose.random()
        if kind < 0.04 and records:
            records.append(choose.choice(records))
            continue
        code = "3VE-3VG" if kind < 0.07 else "ZZZZZZZZZ" if kind < 0.10 else good
        request = redeem(f"{name}-{number}", code, player_id=f"player-{name}-{number // 2}", occurred_at=now)
        records.append(NewRecord(code.encode(), msgspec.json.encode(request)))
    return sent


async def backlog_for(world: World, processes: Sequence[subprocess.Popen[bytes]], count: int) -> None:
    """A backlog for workers that have divided the partitions among them before it: they are halted while it is written."""
    await asyncio.sleep(SETTLED_SECONDS)
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        await send_backlog(world, count)
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


async def published(world: World) -> int:
    """Outcomes on the topic."""
    return sum((await world.inspector.ends(OUTCOMES.name)).values())


@dataclass(frozen=True, slots=True)
class Measured:
    """From the first outcomes that were seen to the last: a rate, the workers' µs of processor an event, their most memory."""

    rate: float
    microseconds: float
    megabytes: float


async def measure(
    world: World, goal: int, processes: Sequence[subprocess.Popen[bytes]], *, deadline_seconds: float = 600.0
) -> Measured:
    """Watches until `goal` outcomes are on the topic."""
    deadline = time.monotonic() + deadline_seconds
    watched = [psutil.Process(process.pid) for process in processes]
    first_at, first, first_cpu, seen, most = 0.0, 0, 0.0, 0, 0
    while seen < goal:
        assert time.monotonic() < deadline, f"{seen} of {goal} outcomes in {deadline_seconds} s"
        await asyncio.sleep(0.05)
        seen = await published(world)
        most = max(most, *(process.memory_info().rss for process in watched))
        if not first and seen:
            first_at, first, first_cpu = time.monotonic(), seen, _cpu_seconds(watched)
    events, used = seen - first, _cpu_seconds(watched) - first_cpu
    return Measured(events / (time.monotonic() - first_at), used / events * 1e6, most / 2**20)


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


@contextmanager
def workers(command: Sequence[str], environment: Mapping[str, str], count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes, ended with the block."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=CHECKOUT,
            env={**os.environ, **PATIENT, **environment, "LOG_LEVEL": "warning"},
        )
        for _ in range(count)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def services(world: World, count: int, **settings: str) -> Any:
    """Copies of the redemption service."""
    return workers(["services.redemption"], {**world.environment, **settings}, count)


def peers(world: World, way: str, count: int) -> Any:
    """Copies of a peer program."""
    environment = {**world.environment, "DATABASE_URL": world.database_url}
    return workers(["tests.bench.redemption_peers", way], environment, count)
