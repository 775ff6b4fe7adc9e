"""Connections to Kafka that are cut and slowed, and answers of it that never come."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.copies import Copies, copies_of
from tests.faults.drive import check_world, moving_on, send_all, wait_decided
from tests.faults.proxy import Wire, wire_to_port
from tests.faults.servers import wired_kafka
from tests.faults.traffic import stream
from tests.integration.redemption.world import World, new_world
from tests.support.topics import own_topics

SEED = 47
SMALL = {"REDEMPTION_BATCH_RECORDS": "50", "REDEMPTION_PACE_MILLISECONDS": "0"}


@dataclass(frozen=True, slots=True)
class Wired:
    """A world of which the copies alone come by the wire."""

    world: World
    wire: Wire
    copies: Copies


@pytest.fixture
async def wired(tmp_path: Path, database: Callable[[str], Awaitable[str]]) -> AsyncIterator[Wired]:
    async with AsyncExitStack() as stack:
        wire, near_end = await stack.enter_async_context(wire_to_port(0))
        server, wire.port = stack.enter_context(wired_kafka(tmp_path, near_end))
        kafka = await stack.enter_async_context(own_topics(server.address))
        world = await stack.enter_async_context(new_world(kafka, await database("redemption")))
        by_wire = {**world.environment, "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{near_end}"}
        yield Wired(world, wire, stack.enter_context(copies_of(by_wire, tmp_path)))


async def test_connections_to_kafka_are_cut_and_slowed_and_its_answers_held_back(wired: Wired) -> None:
    world, wire, copies = wired.world, wired.wire, wired.copies
    await cut_and_slowed(world, wire, copies)
    await answers_that_do_not_come(world, wire, copies)


async def cut_and_slowed(world: World, wire: Wire, copies: Copies) -> None:
    choose = random.Random(SEED)
    process = copies.start(**SMALL)
    await send_all(world, stream(SEED, 2_000))
    await moving_on(world, 2_000)
    for _ in range(8):
        wire.delay_seconds = choose.choice([0.0, 0.005, 0.02])
        await asyncio.sleep(choose.random() * 0.5)
        wire.cut()
    wire.delay_seconds = 0.0
    await wait_decided(world, copies)
    assert (await check_world(world, copies)).requests == 2_000
    assert await asyncio.to_thread(copies.end, process, 30.0) == 0


async def answers_that_do_not_come(world: World, wire: Wire, copies: Copies) -> None:
    """What was written may or may not have arrived; the copy writes the same again, by another producer."""
    copies.start_ailing(DELIVERY_SECONDS="1")
    await send_all(world, stream(SEED + 1, 3_000))
    await moving_on(world, 3_000)
    for _ in range(3):
        wire.mute()
        await asyncio.sleep(1.5)
        wire.cut()
        wire.unmute()
        await asyncio.sleep(0.7)
    assert wire.held_back > 0
    await wait_decided(world, copies)
    checked = await check_world(world, copies)
    assert checked.requests == 5_000
    assert checked.repeated > 0
