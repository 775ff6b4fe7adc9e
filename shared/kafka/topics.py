"""Making the topics, once, before the services start; adding partitions; removing the topics of a test."""

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from shared.contracts.topics import ALL_TOPICS, Topic
from shared.environment import KafkaConnection
from shared.kafka import clients


async def ensure_topics(
    connection: KafkaConnection,
    topics: Iterable[Topic] = ALL_TOPICS,
    *,
    partitions: Mapping[str, int] | None = None,
    replication_factor: int = 1,
) -> list[str]:
    """Makes the topics that are not there yet, and returns their names; the others are left as they are.

    `partitions` overrides the number of partitions by topic name. Raises KafkaError when the broker refuses one, and
    Retryable when it is not there.
    """
    overrides = partitions or {}
    wanted = list(topics)
    with clients.outside():
        async with clients.admin(connection) as admin:
            made = await _create(admin, connection, wanted, overrides, replication_factor)
            await _wait_until_known(admin, [connection.physical(topic.name) for topic in wanted])
    return made


async def add_partitions(connection: KafkaConnection, topic: str, total: int) -> None:
    """Raises the number of partitions of a topic to `total`. Outcomes first, requests second (rule 10)."""
    with clients.outside():
        async with clients.admin(connection) as admin:
            await admin.create_partitions({connection.physical(topic): NewPartitions(total_count=total)})


async def delete_topics(connection: KafkaConnection, topics: Iterable[Topic] = ALL_TOPICS) -> None:
    """Deletes those of the topics that are there. For tests and for `make clean` on a broker that is not ours."""
    with clients.outside():
        async with clients.admin(connection) as admin:
            response = await admin.delete_topics([connection.physical(topic.name) for topic in topics])
    for name, code in response.topic_error_codes:
        error = for_code(code)
        if code and error is not UnknownTopicOrPartitionError:
            raise error(name)


async def _create(
    admin: AIOKafkaAdminClient,
    connection: KafkaConnection,
    topics: list[Topic],
    partitions: Mapping[str, int],
    replication_factor: int,
) -> list[str]:
    response = await admin.create_topics(
        [
            NewTopic(
                name=connection.physical(topic.name),
                num_partitions=partitions.get(topic.name, topic.partitions),
                replication_factor=replication_factor,
                topic_configs=dict(topic.settings),
            )
            for topic in topics
        ]
    )
    made = []
    for name, code, *message in response.topic_errors:
        error = for_code(code)
        if not code:
            made.append(connection.logical(name))
        elif error is not TopicAlreadyExistsError:
            raise error(f"{name}: {message}")
    return made


async def _wait_until_known(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """A topic that was made a moment ago may be unknown to the broker's metadata for an instant more."""
    async with asyncio.timeout(30):
        while not set(names) <= set(await admin.list_topics()):  # noqa: ASYNC110 (the broker tells nobody)
            await asyncio.sleep(0.05)
