"""A world and a running service for each test."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from services.redemption.app import RedemptionSettings, running
from shared.environment import KafkaConnection, read_settings
from shared.lifecycle import RunningService
from tests.integration.redemption.world import KEYS, World, new_world


@pytest.fixture
async def world(kafka: KafkaConnection, database: Callable[[str], Awaitable[str]]) -> AsyncIterator[World]:
    async with new_world(kafka, await database("redemption")) as made:
        yield made


@pytest.fixture
async def service(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningService]:
    """The service in this process, on the world's topics and ledger."""
    monkeypatch.setenv("CODE_KEYS", KEYS.to_json())
    monkeypatch.delenv("CODE_KEYS_FILE", raising=False)
    async with running(read_settings(RedemptionSettings, world.environment)) as started:
        yield started
