"""SIGKILL in the middle of a stream: the next owner publishes what was stored, and goes on from the stored place."""

import asyncio
import random

import pytest

from tests.faults.copies import Copies
from tests.faults.drive import check_world, send_all, undecided, wait_decided
from tests.faults.traffic import stream
from tests.integration.redemption.world import World
from tests.support.polling import poll_until

SEED = 5
EVENTS = 6_000


@pytest.mark.partitions(3)
async def test_killed_in_the_middle_of_a_stream_every_event_is_decided_once(world: World, copies: Copies) -> None:
    choose = random.Random(SEED)
    settings = {"REDEMPTION_BATCH_RECORDS": "50", "REDEMPTION_PACE_MILLISECONDS": "0"}
    process = copies.start(**settings)
    await send_all(world, stream(SEED, EVENTS))
    for kill in range(1, 4):
        goal = EVENTS - kill * EVENTS // 5

        async def far_enough(goal: int = goal) -> bool:
            return await undecided(world) < goal

        await poll_until(far_enough, 60, every_seconds=0.02, what="the stream moving on")
        await asyncio.sleep(choose.random() * 0.05)
        copies.kill(process)
        process = copies.start(**settings)
    await wait_decided(world, copies)
    checked = await check_world(world, copies)
    assert checked.requests == EVENTS
    assert checked.accepted > 1_000
    assert checked.reversed > 50
    assert copies.end(process, within_seconds=10) == 0
