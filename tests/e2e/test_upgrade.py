"""Expand and contract: the version that runs goes on working on the schema that the next one has added to."""

from pathlib import Path

import asyncpg
import pytest

from shared.environment import KafkaConnection
from tests.support.campaign import net_by_store, open_campaign, send, wait_decided, wait_ends_equal
from tests.support.system import running_system

WITH_ITS_FUNCTION = "codes"
"""Batches' partitions are made by a function of the schema, which a migration that widens this table replaces with it."""

TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'schema_migrations'
"""


async def _expand(url: str, schema: str) -> int:
    """What a next version's first migration may do to every table: columns that are nullable or have a default; new tables."""
    connection = await asyncpg.connect(url)
    try:
        tables = [row["relname"] for row in await connection.fetch(TABLES, schema)]
        for table in tables:
            if not (schema == "codegen" and table.startswith(WITH_ITS_FUNCTION)):
                await connection.execute(f"ALTER TABLE {schema}.{table} ADD COLUMN of_the_next_version text")
                await connection.execute(
                    f"ALTER TABLE {schema}.{table} ADD COLUMN counted_by_the_next integer NOT NULL DEFAULT 0"
                )
        await connection.execute(f"CREATE TABLE {schema}.table_of_the_next_version (id bigint PRIMARY KEY)")
        return len(tables)
    finally:
        await connection.close()


@pytest.mark.parametrize("when", ["before the start", "while it runs"])
async def test_this_version_runs_on_the_next_ones_schema(
    kafka: KafkaConnection, shared_database: dict[str, str], tmp_path: Path, when: str
) -> None:
    if when == "before the start":
        assert [await _expand(url, schema) > 1 for schema, url in shared_database.items()] == [True] * 4
    async with running_system(kafka, shared_database, tmp_path) as system:
        campaign = await open_campaign(system)
        await send(system, campaign.requests(0, 100))
        await wait_decided(system, 100)
        if when == "while it runs":
            for schema, url in shared_database.items():
                await _expand(url, schema)
        await send(system, campaign.requests(50, 200))
        found = await wait_decided(system, 250)
        assert sum(net_by_store(found).values()) == 200
        await wait_ends_equal(system, campaign.id, net_by_store(found))
        later = await open_campaign(system, "later", each=20)
        await send(system, later.requests(0, 30))
        await wait_ends_equal(
            system, later.id, net_by_store(o for o in await wait_decided(system, 280) if o.campaign_id == "later")
        )
