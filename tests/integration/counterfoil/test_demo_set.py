"""The demo set that comes with counterfoil loads under any key ring, and its batches are made."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

from counterfoil.commands.fixtures import DEMO
from counterfoil.fixtures.manifest import checked_manifest
from services.codegen.app import CodegenSettings, dump_fixtures, fixture_loading, running
from shared.codes.key_ring import KeyRing, new_key
from shared.environment import KafkaConnection
from tests.support.polling import poll_until

RING = KeyRing((new_key("any", bytes(range(32))),))


async def test_the_demo_set_loads_and_its_codes_are_made(
    kafka: KafkaConnection, database: Callable[[str], Awaitable[str]], tmp_path: Path
) -> None:
    url = await database("codegen")
    settings = CodegenSettings(
        kafka_bootstrap_servers=kafka.bootstrap_servers, kafka_topic_prefix=kafka.topic_prefix, database_url=url
    )
    manifest = checked_manifest(DEMO)
    assert manifest.rows("stores.jsonl") == 40

    async with running(settings, RING), fixture_loading(settings, RING) as fixtures:
        assert await fixtures.obstacles() == []
        ids = await fixtures.load(fixtures.read(DEMO), subject=manifest.fingerprint, on_codes=lambda _: None)
        assert await fixtures.announced(ids)
        assert "4 campaigns" in await fixtures.obstacles()
        connection = await asyncpg.connect(url, server_settings={"search_path": "codegen"})
        try:

            async def states() -> list[str] | None:
                found = [row["state"] for row in await connection.fetch("SELECT state FROM batches ORDER BY number")]
                return found if set(found) <= {"ready", "published"} else None

            assert await poll_until(states, 60, what="the demo's batches") == ["published"] * 4 + ["ready"]
            counts = await connection.fetchrow("SELECT count(*) AS codes, count(DISTINCT serial) AS serials FROM codes")
            ordered = await asyncio.to_thread((DEMO / "orders.jsonl").read_text)
            assert counts is not None
            wanted = sum(a["count"] for line in ordered.splitlines() for a in json.loads(line)["allotments"])
            assert (counts["codes"], counts["serials"]) == (wanted, wanted)
        finally:
            await connection.close()

    await dump_fixtures(tmp_path, register=False, new_codes=True, settings=settings)
    for name in ("campaigns.jsonl", "stores.jsonl", "orders.jsonl"):
        assert (tmp_path / name).read_bytes() == (DEMO / name).read_bytes(), name
