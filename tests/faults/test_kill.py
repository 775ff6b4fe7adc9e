"""SIGKILL and SIGTERM in the middle of a stream: the next owner goes on from the stored place."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from tests.faults.copies import Copies
from tests.faults.drive import all_published, check_world, moving_on, send_all, undecided, wait_decided
from tests.faults.readers import check_readers
from tests.faults.traffic import stream
from tests.integration.redemption.world import World

SEED = 5
EVENTS = 6_000


@pytest.mark.partitions(3)
async def test_killed_in_the_middle_of_a_stream_every_event_is_decided_once_and_counted_once(
    world: World, copies: Copies, database: Callable[[str], Awaitable[str]]
) -> None:
    choose = random.Random(SEED)
    settings = {"REDEMPTION_BATCH_RECORDS": "50", "REDEMPTION_PACE_MILLISECONDS": "0"}
    process = copies.start(**settings)
    await send_all(world, stream(SEED, EVENTS))
    for kill in range(1, 4):
        goal = EVENTS - kill * EVENTS // 5
        await moving_on(world, goal)
        await asyncio.sleep(choose.random() * 0.05)
        copies.kill(process)
        process = copies.start(**settings)
    await wait_decided(world, copies)
    checked = await check_world(world, copies)
    assert checked.requests == EVENTS
    assert checked.accepted > 1_000
    assert checked.reversed > 50
    await check_readers(world, ranking_url=await database("ranking"), reporting_url=await database("reporting"))
    assert copies.end(process, within_seconds=10) == 0


async def test_told_to_end_it_finishes_its_batch_and_hands_its_partitions_over_at_once(world: World, copies: Copies) -> None:
    settings = {"REDEMPTION_BATCH_RECORDS": "50", "REDEMPTION_SESSION_TIMEOUT_MILLISECONDS": "45000"}
    first = copies.start(**settings)
    await send_all(world, stream(SEED, EVENTS))
    await moving_on(world, EVENTS - 500)
    assert await asyncio.to_thread(copies.end, first, 10.0) == 0
    left = await undecided(world)
    assert left > 0, "it ended after everything was decided, which shows nothing"
    assert await all_published(world)
    copies.start(**settings)
    await moving_on(world, left, deadline_seconds=30)
    await wait_decided(world, copies)
    assert (await check_world(world, copies)).requests == EVENTS
