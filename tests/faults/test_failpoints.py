"""Dying before and after every step of the loop, one step after the other, on one stream."""

import asyncio
import subprocess
from functools import partial

import pytest

from tests.faults.ailing_copy import STEPS
from tests.faults.copies import Copies
from tests.faults.drive import check_world, send_all, undecided, wait_decided
from tests.faults.traffic import stream
from tests.integration.redemption.world import World
from tests.support.polling import poll_until

SEED = 11
EACH = 160
"""Requests for each death: four batches of the ailing copy."""


@pytest.mark.partitions(1)
async def test_dying_at_any_step_leaves_nothing_undone_or_done_twice(world: World, copies: Copies) -> None:
    events = stream(SEED, EACH * len(STEPS))
    for number, step in enumerate(STEPS):
        await send_all(world, events[number * EACH : (number + 1) * EACH])
        process = copies.start_ailing(f"die:{step}:{1 if step.endswith(('republish', 'dead_letters')) else 2}")
        await poll_until(partial(_has_ended, process), 60, what=f"a copy dying {step}")
        assert process.returncode == -9, copies.text()[-3_000:]
    copies.start_ailing()
    await wait_decided(world, copies)
    checked = await check_world(world, copies)
    assert checked.requests == EACH * len(STEPS)
    assert checked.repeated > 0


@pytest.mark.partitions(2)
@pytest.mark.parametrize("ailment", ["fail:after_write:5", "fail:after_chunk:5", "fail:before_chunk:7", "fail:before_write:6"])
async def test_answers_that_get_lost_are_not_taken_for_a_no(world: World, copies: Copies, ailment: str) -> None:
    copies.start_ailing(ailment)
    await send_all(world, stream(SEED, 1_000), chunk=100)
    await wait_decided(world, copies)
    assert (await check_world(world, copies)).requests == 1_000


@pytest.mark.partitions(2)
async def test_two_owners_at_once_decide_everything_once(world: World, copies: Copies) -> None:
    for _ in range(2):
        copies.start_ailing()
    sending = asyncio.create_task(send_all(world, stream(SEED, 3_000), chunk=60, pause_seconds=0.01))
    await sending
    await wait_decided(world, copies)
    checked = await check_world(world, copies)
    assert checked.requests == 3_000
    assert await undecided(world) == 0


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None
