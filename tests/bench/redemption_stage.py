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


@asynccontextmanager
async def stage(limits: Mapping[str, int | None] | None = None) -> AsyncIterator[World]:
    """A world with a million codes in one campaign, whose limit per player is on unless told otherwise."""
    databases = Databases(superuser_url=os.environ["COUNTERFOIL_TEST_POSTGRES"])
    url = await databases.make("redemption")
    try:
        async with (
            own_topics(os.environ["COUNTERFOIL_TEST_KAFKA"], partitions=PARTITIONS) as kafka,
            new_world(kafka, url) as world,
        ):
            await world.publish_campaign(limits=limits or LIMITS)
            await world.publish_batch(codes=CODES)
            yield world
    finally:
        await databases.drop(url)
        await databases.drop_all()


async def send_backlog(world: World, count: int, *, seed: int = 1) -> None:
    """As real traffic: nine in ten a good code of a player of their own, the rest sent again, mistyped or guessed."""
    choose = random.Random(seed)
    codes = iter(codes_of(choose.sample(range(1, CODES + 1), count)))
    now = datetime.now(UTC).isoformat()
    sent: list[list[NewRecord]] = [[] for _ in range(PARTITIONS)]
    for number in range(count):
        partition = number % PARTITIONS
        kind = choose.random()
        if kind < 0.04 and sent[partition]:
            sent[partition].append(choose.choice(sent[partition]))
            continue
        code = "3VE-3VG" if kind < 0.07 else "ZZZZZZZZZ" if kind < 0.10 else next(codes)
        request = redeem(f"zork-{seed}-{number:08d}", code, player_id=f"player-{number // 2:08d}", occurred_at=now)
        sent[partition].append(NewRecord(code.encode(), msgspec.json.encode(request)))
    for partition, records in enumerate(sent):
        await world.publisher.publish_batch(REQUESTS.name, partition, records)


async def published(world: World) -> int:
    """Outcomes on the topic."""
    return sum((await world.inspector.ends(OUTCOMES.name)).values())


async def outcomes_a_second(world: World, goal: int, *, deadline_seconds: float = 300.0) -> float:
    """The rate from the first outcomes that are seen to the last of `goal`."""
    deadline = time.monotonic() + deadline_seconds
    first_at, first, seen = 0.0, 0, 0
    while seen < goal:
        assert time.monotonic() < deadline, f"{seen} of {goal} outcomes in {deadline_seconds} s"
        await asyncio.sleep(0.05)
        seen = await published(world)
        if not first and seen:
            first_at, first = time.monotonic(), seen
    return (seen - first) / (time.monotonic() - first_at)


def cpu_seconds(processes: Sequence[subprocess.Popen[bytes]]) -> float:
    """What they have used so far, their start included; other than a rate it hardly depends on what else the machine does."""
    used = [psutil.Process(process.pid).cpu_times() for process in processes]
    return sum(times.user + times.system for times in used)


@contextmanager
def workers(command: Sequence[str], environment: Mapping[str, str], count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes, ended with the block."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=CHECKOUT,
            env={**os.environ, **environment, "LOG_LEVEL": "warning"},
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
