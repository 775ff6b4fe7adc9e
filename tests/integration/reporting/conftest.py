"""A service with a history of two partitions folded, repeats included."""

from collections.abc import AsyncIterator

import pytest

from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from tests.integration.reporting.system import Database, Reporting, publish_outcomes, publish_reference, reporting_service
from tests.unit.reporting.history import History, make_history, recompute


@pytest.fixture
def history() -> History:
    return make_history(42, stores=10, events=300, partitions=2)


@pytest.fixture
async def publisher(kafka: KafkaConnection) -> AsyncIterator[Publisher]:
    async with Publisher(kafka) as opened:
        yield opened


@pytest.fixture
async def reporting(
    kafka: KafkaConnection, database: Database, publisher: Publisher, history: History
) -> AsyncIterator[Reporting]:
    async with reporting_service(kafka, await database("reporting")) as service:
        await publish_reference(publisher, history)
        for partition, outcomes in enumerate(history.partitions):
            await publish_outcomes(publisher, partition, outcomes[:60])
            await publish_outcomes(publisher, partition, outcomes[20:60])
            await publish_outcomes(publisher, partition, outcomes[50:])
        await service.wait_for(sum(figures.accepted for figures in recompute(history).values()))
        yield service
