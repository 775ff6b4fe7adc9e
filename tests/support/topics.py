"""Topics for tests: all of them, under a prefix of the test's own, with few partitions."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from shared.contracts.topics import ALL_TOPICS, OUTCOMES, REQUESTS
from shared.environment import KafkaConnection
from shared.kafka.topics import delete_topics, ensure_topics

FEW: Final = 2


@asynccontextmanager
async def own_topics(bootstrap_servers: str, *, partitions: int | Mapping[str, int] = FEW) -> AsyncIterator[KafkaConnection]:
    """A connection under a random prefix with every topic made, all deleted afterwards.

    `partitions`: of the requests' and outcomes' topics, or by topic name.
    """
    connection = KafkaConnection(bootstrap_servers=bootstrap_servers, topic_prefix=f"t{secrets.token_hex(5)}.")
    counts = {REQUESTS.name: partitions, OUTCOMES.name: partitions} if isinstance(partitions, int) else partitions
    await ensure_topics(connection, partitions=counts)
    try:
        yield connection
    finally:
        await delete_topics(connection, ALL_TOPICS)
