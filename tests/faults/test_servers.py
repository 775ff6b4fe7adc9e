"""Kafka and Postgres killed and started again, connections cut and slowed, copies coming and going."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shared.environment import KafkaConnection
from tests.faults.copies import Copies, copies_of
from tests.faults.drive import check_world, moving_on, send_all, wait_decided
from tests.faults.proxy import Wire, wire_to
from tests.faults.servers import Mortal, mortal_kafka, mortal_postgres
from tests.faults.traffic import stream
from tests.integration.redemption.world import World, new_world
from tests.support.databases import Databases
from tests.support.topics import own_topics

SEED = 31
SMALL = {"REDEMPTION_BATCH_RECORDS": "60", "REDEMPTION_PACE_MILLISECONDS": "0"}


@pytest.fixture
async def kafka_to_kill(
    tmp_path: Path, database: Callable[[str], Awaitable[str]]
) -> AsyncIterator[tuple[Mortal, World, Copies]]:
    async with AsyncExitStack() as stack:
        server = stack.enter_context(mortal_kafka(tmp_path))
        kafka = await stack.enter_async_context(own_topics(server.address))
        world = await stack.enter_async_context(new_world(kafka, await database("redemption")))
        copies = stack.enter_context(copies_of(world.environment, tmp_path))
        yield server, world, copies


@pytest.fixture
async def postgres_to_kill(tmp_path: Path, kafka: KafkaConnection) -> AsyncIterator[tuple[Mortal, World, Copies]]:
    tmp_path.chmod(0o711)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(mortal_postgres(tmp_path))
        url = await Databases(superuser_url=server.address).make("redemption")
        world = await stack.enter_async_context(new_world(kafka, url))
        copies = stack.enter_context(copies_of(world.environment, tmp_path))
        yield server, world, copies


@pytest.fixture
async def wired(world: World, tmp_path: Path) -> AsyncIterator[tuple[Wire, Copies]]:
    async with wire_to(world.database_url) as (wire, url):
        with copies_of({**world.environment, "REDEMPTION_DATABASE_URL": url}, tmp_path) as copies:
            yield wire, copies


async def test_kafka_is_killed_and_comes_back(kafka_to_kill: tuple[Mortal, World, Copies]) -> None:
    server, world, copies = kafka_to_kill
    process = copies.start(**SMALL)
    await send_all(world, stream(SEED, 3_000))
    await moving_on(world, 2_500)
    server.kill()
    await asyncio.sleep(2)
    await asyncio.to_thread(server.start)
    await send_all(world, stream(SEED + 1, 500))
    await wait_decided(world, copies)
    assert (await check_world(world, copies)).requests == 3_500
    assert process.poll() is None, "the copy did not wait Kafka's absence out"


async def test_postgres_is_killed_and_comes_back(postgres_to_kill: tuple[Mortal, World, Copies]) -> None:
    server, world, copies = postgres_to_kill
    process = copies.start(**SMALL)
    await send_all(world, stream(SEED, 3_000))
    await moving_on(world, 2_500)
    server.kill()
    await send_all(world, stream(SEED + 1, 500))
    await asyncio.to_thread(server.start)
    await wait_decided(world, copies)
    assert (await check_world(world, copies)).requests == 3_500
    assert process.poll() is None, "the copy did not wait Postgres' absence out"


async def test_connections_to_postgres_are_cut_and_slowed(world: World, wired: tuple[Wire, Copies]) -> None:
    wire, copies = wired
    choose = random.Random(SEED)
    copies.start(**SMALL)
    await send_all(world, stream(SEED, 2_500))
    await moving_on(world, 2_500)
    for _ in range(12):
        wire.delay_seconds = choose.choice([0.0, 0.005, 0.02])
        await asyncio.sleep(choose.random() * 0.4)
        wire.cut()
    wire.delay_seconds = 0.0
    await wait_decided(world, copies)
    assert (await check_world(world, copies)).requests == 2_500


@pytest.mark.partitions(4)
async def test_copies_that_come_and_go_every_few_seconds(world: World, copies: Copies) -> None:
    choose = random.Random(SEED)
    steady = copies.start(**SMALL)
    sending = asyncio.create_task(send_all(world, stream(SEED, 4_000), chunk=50, pause_seconds=0.1))
    for _ in range(4):
        visitor = copies.start(**SMALL)
        await asyncio.sleep(1 + choose.random() * 2)
        if choose.random() < 0.5:
            copies.kill(visitor)
        else:
            assert copies.end(visitor, within_seconds=30) in (0, -15)
    await sending
    await wait_decided(world, copies)
    assert (await check_world(world, copies)).requests == 4_000
    assert copies.end(steady, within_seconds=30) == 0
