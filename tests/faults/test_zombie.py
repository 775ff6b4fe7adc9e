"""A copy that is stopped for longer than its session, comes back, and must not change anything that went on without it."""

import asyncio

import pytest

from tests.faults.copies import Copies
from tests.faults.drive import check_world, send_all, undecided, wait_decided
from tests.faults.traffic import stream
from tests.integration.redemption.world import World
from tests.support.polling import poll_until

SEED = 23
EVENTS = 4_000
SESSION_SECONDS = 6.0
SMALL = {"REDEMPTION_BATCH_RECORDS": "40", "REDEMPTION_PACE_MILLISECONDS": "0"}


@pytest.mark.partitions(2)
async def test_what_a_zombie_writes_is_refused(world: World, copies: Copies) -> None:
    events = stream(SEED, EVENTS)
    first = copies.start(**SMALL)
    await send_all(world, events[: EVENTS // 2])

    async def begun() -> bool:
        return 0 < await undecided(world) < EVENTS // 2

    await poll_until(begun, 40, every_seconds=0.01, what="the first copy deciding")
    copies.pause(first)
    copies.start(**SMALL)
    await asyncio.sleep(SESSION_SECONDS + 1)
    await send_all(world, events[EVENTS // 2 :])

    async def taken_over() -> bool:
        return await undecided(world) == 0

    await poll_until(taken_over, 60, every_seconds=0.1, what="the second copy deciding the rest")
    copies.resume(first)
    await send_all(world, stream(SEED + 1, 500))
    await wait_decided(world, copies)
    assert (await check_world(world, copies)).requests == EVENTS + 500
