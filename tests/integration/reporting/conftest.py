"""A service with a history of two partitions folded, repeats included; one for all tests of a module that only read."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from tests.integration.reporting.system import Reporting, publish_outcomes, publish_reference, reporting_service
from tests.support.databases import Databases
from tests.support.topics import own_topics
from tests.unit.reporting.history import History, make_history
from tests.unit.reporting.recomputation import recompute


@pytest.fixture(scope="module")
def history() -> History:
    return make_history(42, stores=10, events=300, partitions=2)


@pytest.fixture
async def publisher(kafka: KafkaConnection) -> AsyncIterator[Publisher]:
    async with Publisher(kafka) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reporting(kafka_server: str, databases: Databases, history: History) -> AsyncIterator[Reporting]:
    url = await databases.make("reporting")
    async with own_topics(kafka_server) as kafka, Publisher(kafka) as publisher, reporting_service(kafka, url) as service:
        await publish_reference(publisher, history)
        for partition, outcomes in enumerate(history.partitions):
            await publish_outcomes(publisher, partition, outcomes[:60])
            await publish_outcomes(publisher, partition, outcomes[20:60])
            await publish_outcomes(publisher, partition, outcomes[50:])
        await service.wait_for(sum(figures.accepted for figures in recompute(history).values()))
        yield service
    await databases.drop(url)
