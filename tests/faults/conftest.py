"""A world with a limit on everything, and copies of the service to be ill-treated."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from shared.environment import KafkaConnection
from tests.faults.copies import Copies, copies_of
from tests.integration.redemption.world import World, new_world


@pytest.fixture
async def world(kafka: KafkaConnection, database: Callable[[str], Awaitable[str]]) -> AsyncIterator[World]:
    async with new_world(kafka, await database("redemption")) as made:
        await made.publish_campaign(limits={"per_player": 3, "per_store": 400, "total": 3_000})
        yield made


@pytest.fixture
def copies(world: World, tmp_path: Path) -> Iterator[Copies]:
    with copies_of(world.environment, tmp_path) as made:
        yield made
