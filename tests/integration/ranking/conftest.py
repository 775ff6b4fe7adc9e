"""Topics with campaign, stores and tokens on them, for every test of ranking."""

from collections.abc import AsyncIterator

import pytest

from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from tests.integration.ranking.system import Topics


@pytest.fixture
async def topics(kafka: KafkaConnection) -> AsyncIterator[Topics]:
    async with Publisher(kafka) as publisher:
        topics = Topics(publisher)
        await topics.tokens()
        await topics.campaign()
        await topics.store("s-1", name="Main Street", chain="playtime", region="US-NY")
        await topics.store("s-2", name="Ωmega", chain="playtime", region="US-CA", peer_group="mall")
        await topics.store("s-3", name="متجر", chain="arcade", region="US-NY", peer_group="mall")
        await topics.store("s-hidden", hidden=True)
        await topics.store("s-test", test=True)
        await topics.batch({"s-1": 100, "s-2": 250, "s-3": 99})
        yield topics
