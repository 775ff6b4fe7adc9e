"""What the other tests rely on: topics and databases of their own on servers that are shared."""

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from shared.contracts.topics import ALL_TOPICS, OUTCOMES, REQUESTS, TOKENS
from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher

Database = Callable[[str], Awaitable[str]]


@pytest.mark.partitions(3)
async def test_a_test_has_all_topics_under_a_prefix_of_its_own(kafka: KafkaConnection) -> None:
    assert kafka.topic_prefix
    async with Publisher(kafka) as publisher:
        counts = {topic.name: await publisher.partitions(topic.name) for topic in ALL_TOPICS}
        assert await publisher.send(TOKENS.name, b"id", b"{}") == (0, 0)
    assert (counts[REQUESTS.name], counts[OUTCOMES.name], counts[TOKENS.name]) == (3, 3, 1)


async def test_two_databases_of_one_service_share_nothing(database: Database) -> None:
    first, second = await database("codegen"), await database("codegen")
    assert first != second
    connection = await asyncpg.connect(first)
    await connection.execute("CREATE TABLE codegen.only_here (a integer)")
    await connection.close()
    connection = await asyncpg.connect(second)
    try:
        assert await connection.fetchval("SELECT to_regclass('codegen.only_here')") is None
        assert await connection.fetchval("SELECT to_regclass('schema_migrations')::text") == "schema_migrations"
        assert await connection.fetchval("SHOW fsync") == "on"
    finally:
        await connection.close()


async def test_a_service_cannot_read_the_schema_of_another(shared_database: dict[str, str]) -> None:
    connection = await asyncpg.connect(shared_database["ranking"])
    try:
        assert await connection.fetchval("SHOW search_path") == "ranking"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM codegen.schema_migrations")
    finally:
        await connection.close()
