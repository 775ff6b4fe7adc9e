"""Rule 21: what is committed reaches its topic, in order, whatever dies in between; rule 25: ranges before codes."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec
import pytest

from services.codegen.domain.campaigns import CampaignDraft
from services.codegen.domain.refusals import NotYet
from services.codegen.handlers.announcing import Announcements
from services.codegen.handlers.campaigns import CampaignHandlers
from services.codegen.handlers.relaying import Relaying, TopicMirror, send_again
from services.codegen.store.database import open_database
from shared.contracts.codegen import Batch, BatchState, Campaign, CampaignLimits, Store
from shared.contracts.topics import BATCHES, CAMPAIGNS, STORES, TOKENS
from shared.environment import KafkaConnection
from shared.kafka.inspecting import LogInspector
from shared.kafka.publishing import Publisher
from shared.kafka.topics import delete_topics, ensure_topics
from tests.integration.codegen.conftest import Codegen, Start, campaign_body
from tests.support.polling import poll_until


async def values(kafka: KafkaConnection, topic: str, kind: type[Any]) -> list[Any]:
    async with LogInspector(kafka) as inspector:
        records = [record async for record in inspector.read(topic, 0, 0)]
    return [msgspec.json.decode(record.value or b"", type=kind) for record in records]


async def test_a_range_is_announced_before_its_first_code_is_made(codegen: Codegen, kafka: KafkaConnection) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(2)
    batch = await codegen.made({"campaign_id": "spring", "count_per_store": 10, "stores": "all"})
    records: list[Batch] = await values(kafka, BATCHES.name, Batch)
    assert [record.state for record in records] == [
        BatchState.QUEUED,
        BatchState.GENERATING,
        BatchState.VERIFYING,
        BatchState.READY,
        BatchState.PUBLISHED,
    ]
    assert [record.revision for record in records] == [1, 2, 3, 4, 5]
    assert {(r.first_serial, r.last_serial) for r in records} == {(batch["first_serial"], batch["last_serial"])}
    assert records[0].allotments == ()
    assert [(a.store_id, a.count) for a in records[-1].allotments] == [("s-00001", 10), ("s-00002", 10)]
    assert records[-1].last_serial - records[-1].first_serial + 1 > 20


async def test_no_batch_is_begun_while_its_range_waits_in_the_outbox(
    start: Start, tables: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> int:
        return 0

    codegen = await start()
    await codegen.make_campaign()
    await codegen.make_stores(1)
    monkeypatch.setattr(Relaying, "send_some", away)
    batch = await codegen.order({"campaign_id": "spring", "count_per_store": 10, "stores": "all"})
    await codegen.order({"campaign_id": "spring", "count_per_store": 10, "stores": "all"}, "key-2")
    assert await tables.fetchval("SELECT count(*) FROM outbox") == 2
    assert (await codegen.call("GET", f"/v1/batches/{batch['id']}")).json["state"] == "queued"
    monkeypatch.undo()
    await codegen.until(batch["id"], "ready")


async def test_an_answer_waits_for_the_acknowledgement_and_says_when_there_is_none(
    start: Start, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> int:
        return 0

    codegen = await start(codegen_acknowledge_seconds=0.5)
    monkeypatch.setattr(Relaying, "send_some", away)
    reply = await codegen.call("POST", "/v1/campaigns", campaign_body())
    assert reply.status == 503
    assert "as soon as Kafka is back" in reply.text
    assert await values(kafka, CAMPAIGNS.name, Campaign) == []
    monkeypatch.undo()
    assert (await codegen.call("PATCH", "/v1/campaigns/spring", {"paused": True})).status == 200
    assert [campaign.revision for campaign in await values(kafka, CAMPAIGNS.name, Campaign)] == [1, 2]


async def test_an_answer_waits_as_long_as_kafka_goes_on_taking_its_records(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_some = Relaying.send_some

    async def slowly(self: Relaying) -> int:
        await asyncio.sleep(0.3)
        return await send_some(self)

    codegen = await start(codegen_acknowledge_seconds=1.0)
    monkeypatch.setattr("services.codegen.handlers.relaying.RECORDS_AT_A_TIME", 1)
    monkeypatch.setattr(Relaying, "send_some", slowly)
    assert len(await codegen.make_stores(6)) == 6


async def test_asking_again_waits_for_what_the_first_time_did_not_see_acknowledged(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> int:
        return 0

    codegen = await start(codegen_acknowledge_seconds=0.5)
    await codegen.make_campaign()
    await codegen.make_stores(1)
    batch = await codegen.order({"campaign_id": "spring", "count_per_store": 4, "stores": "all"})
    await codegen.until(batch["id"], "ready")
    token = (await codegen.call("POST", "/v1/tokens", {"name": "lost", "scopes": ["admin"]})).json
    changes: list[tuple[str, str, Any]] = [
        ("POST", "/v1/campaigns", campaign_body("summer")),
        ("PATCH", "/v1/campaigns/spring", {"paused": True}),
        ("PUT", "/v1/stores", [{"id": "s-00001", "name": "Closed", "paused": True}]),
        ("PATCH", f"/v1/batches/{batch['id']}", {"paused": True}),
        ("POST", f"/v1/batches/{batch['id']}/publish", None),
        ("DELETE", f"/v1/tokens/{token['id']}", None),
    ]
    monkeypatch.setattr(Relaying, "send_some", away)
    for _ in range(2):
        assert [(await codegen.call(*change)).status for change in changes] == [503] * len(changes)
    monkeypatch.undo()
    assert [(await codegen.call(*change)).status for change in changes] == [200] * 5 + [204]


async def test_what_was_committed_by_a_process_that_died_is_sent_by_the_next(
    start: Start, kafka: KafkaConnection, codegen_url: str
) -> None:
    async with open_database(codegen_url, connections=2) as database:
        dead = CampaignHandlers(database, Announcements(database, nudge=lambda: None, timeout_seconds=0.1))
        draft = CampaignDraft(
            id="spring", name="Spring", starts_at="2026-11-01", ends_at="2036-11-01", time_zone="UTC", games=(), regions=(),
            limits=CampaignLimits(),
        )  # fmt: skip
        with pytest.raises(NotYet):
            await dead.create(draft, actor="t-dead", now=datetime.now(UTC))
    assert await values(kafka, CAMPAIGNS.name, Campaign) == []
    await start()

    async def there() -> bool:
        return [campaign.id for campaign in await values(kafka, CAMPAIGNS.name, Campaign)] == ["spring"]

    await poll_until(there, what="the campaign being announced")


async def test_topics_that_were_lost_are_filled_again(start: Start, kafka: KafkaConnection) -> None:
    first = await start()
    await first.make_campaign()
    await first.make_stores(3)
    batch = await first.made({"campaign_id": "spring", "count_per_store": 4, "stores": "all"})
    await delete_topics(kafka, [CAMPAIGNS, STORES, BATCHES, TOKENS])
    await ensure_topics(kafka, [CAMPAIGNS, STORES, BATCHES, TOKENS])
    async with open_database(first.settings.database_url, connections=2) as database, LogInspector(kafka) as reader:
        assert await send_again(database, TopicMirror(reader)) == 6

    async def filled() -> bool:
        stores = {store.id for store in await values(kafka, STORES.name, Store)}
        batches = {(b.id, b.state) for b in await values(kafka, BATCHES.name, Batch)}
        return len(stores) == 3 and (batch["id"], BatchState.PUBLISHED) in batches

    await poll_until(filled, what="the topics being filled")


async def test_what_is_sent_while_the_topics_are_read_back_is_not_sent_twice(codegen: Codegen, kafka: KafkaConnection) -> None:
    class Meanwhile(TopicMirror):
        async def read_on(self) -> Mapping[str, Mapping[str, int]]:
            held = {topic: dict(keys) for topic, keys in (await super().read_on()).items()}
            await codegen.make_campaign("meanwhile")
            return held

    await codegen.make_campaign()
    async with open_database(codegen.settings.database_url, connections=2) as database, LogInspector(kafka) as reader:
        assert await send_again(database, Meanwhile(reader)) == 0
    assert [campaign.id for campaign in await values(kafka, CAMPAIGNS.name, Campaign)] == ["spring", "meanwhile"]


async def test_an_older_record_that_lands_last_is_followed_by_the_present_one(codegen: Codegen, kafka: KafkaConnection) -> None:
    await codegen.make_campaign()
    await codegen.call("PATCH", "/v1/campaigns/spring", {"paused": True})
    async with LogInspector(kafka) as inspector, Publisher(kafka) as publisher:
        old = await inspector.record_at(CAMPAIGNS.name, 0, 0)
        assert old is not None
        await publisher.send(CAMPAIGNS.name, old.key, old.value)
        mirror = TopicMirror(inspector)
        async with open_database(codegen.settings.database_url, connections=2) as database:
            assert await send_again(database, mirror) == 1

    async def mended() -> bool:
        return [c.revision for c in await values(kafka, CAMPAIGNS.name, Campaign)] == [1, 2, 1, 2]

    await poll_until(mended, what="the present revision being sent again")
