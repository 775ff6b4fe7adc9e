"""Ranking stays exact while its copies are killed, halted and joined."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from tests.integration.ranking.processes import copy_of_ranking
from tests.integration.ranking.system import (
    Database,
    Topics,
    ranking,
    redeemed,
    reversed_at,
    until_folded,
    until_scores,
)
from tests.unit.ranking.plain import Counted

STORES = ("s-1", "s-2", "s-3")
OFTEN = {"RANKING_FOLD_SECONDS": "0.05", "RANKING_SESSION_TIMEOUT_MILLISECONDS": "2000"}
"""A dead copy's partitions are given away after two seconds instead of ten."""


@pytest.fixture
async def topics(kafka: KafkaConnection) -> AsyncIterator[Topics]:
    async with Publisher(kafka) as publisher:
        topics = Topics(publisher)
        await topics.tokens()
        await topics.campaign()
        for store in STORES:
            await topics.store(store)
        yield topics


def history(chance: random.Random, events: int) -> list[Counted]:
    """Redemptions of the last days, every fifth followed by its reversal."""
    now, found = datetime.now(UTC), list[Counted]()
    for _ in range(events):
        event = redeemed(chance.choice(STORES), now - timedelta(minutes=chance.randrange(5_000)))
        found.append(event)
        if chance.random() < 0.2:
            found.append(reversed_at(event))
    return found


def scores_of(events: Sequence[Counted]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for event in events:
        counts[event.store_id] += -1 if event.is_reversal else 1
    return dict(counts)


@asynccontextmanager
async def stream(
    topics: Topics, events: Sequence[Counted], *, chunk: int = 25, rest_seconds: float = 0.05
) -> AsyncIterator[None]:
    """Publishes the events beside the block, now and then an earlier range again, as redemption does after a crash."""

    async def publish() -> None:
        chance = random.Random(7)
        last: dict[int, list[list[object]]] = {0: [], 1: []}
        for first in range(0, len(events), chunk):
            partition = (first // chunk) % 2
            last[partition].append(list(await topics.outcomes(partition, events[first : first + chunk])))
            if chance.random() < 0.3:
                for again in last[partition][-2:]:
                    await topics.again(partition, again)  # type: ignore[arg-type]
            await asyncio.sleep(rest_seconds)

    task = asyncio.create_task(publish())
    try:
        yield
        await task
    finally:
        task.cancel()


async def test_a_copy_killed_again_and_again_folds_every_outcome_once(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    url, chance = await database("ranking"), random.Random(1)
    events = history(chance, 800)
    async with stream(topics, events):
        for _ in range(2):
            async with copy_of_ranking(kafka, url, **OFTEN) as copy:
                await asyncio.sleep(chance.uniform(0.2, 0.8))
                await copy.kill()
    async with ranking(kafka, url, **OFTEN) as reader:
        await until_folded(url, scores_of(events))
        await until_scores(reader, scores_of(events))


async def test_copies_that_come_and_go_agree_with_each_other_and_the_table(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    url = await database("ranking")
    events = history(random.Random(2), 800)
    async with AsyncExitStack() as stack:
        begun = (stack.enter_async_context(copy_of_ranking(kafka, url, **OFTEN)) for _ in range(3))
        stays, killed, leaves = await asyncio.gather(*begun)
        async with stream(topics, events):
            await asyncio.sleep(0.3)
            await killed.kill()
            late = await stack.enter_async_context(ranking(kafka, url, **OFTEN))
            await leaves.end()
        for reader in (stays.reader, late):
            await until_scores(reader, scores_of(events))
        await until_folded(url, scores_of(events))
        for window in ("day", "week", "month", "all"):
            one, other = await stays.reader.leaderboard(window=window), await late.leaderboard(window=window)
            assert (one["version"], one["rows"]) == (other["version"], other["rows"])


async def test_a_copy_that_was_halted_and_thinks_it_still_owns_its_partitions_does_no_harm(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    url = await database("ranking")
    events = history(random.Random(3), 600)
    half = len(events) // 2
    async with copy_of_ranking(kafka, url, **OFTEN) as zombie:
        async with stream(topics, events[:half], rest_seconds=0.01):
            await asyncio.sleep(0.2)
            zombie.process.send_signal(signal.SIGSTOP)
        async with ranking(kafka, url, **OFTEN) as other:
            async with stream(topics, events[half:], rest_seconds=0.01):
                pass
            await until_folded(url, scores_of(events))
            zombie.process.send_signal(signal.SIGCONT)
            for reader in (zombie.reader, other):
                await until_scores(reader, scores_of(events))
            await topics.outcomes(0, [redeemed("s-1")])
            expected = scores_of([*events, redeemed("s-1")])
            for reader in (zombie.reader, other):
                await until_scores(reader, expected)
            await until_folded(url, expected)
