"""From an order to published codes, on a real Kafka and a real Postgres."""

import hashlib

import asyncpg
import msgspec
import numpy as np

from shared.codes.alphabet import to_text
from shared.codes.ff1 import Ff1
from shared.contracts.codegen import Batch
from shared.contracts.topics import BATCHES
from shared.environment import KafkaConnection
from shared.kafka.inspecting import LogInspector
from tests.integration.codegen.conftest import RING, Codegen


async def test_a_batch_is_made_verified_and_published(codegen: Codegen, tables: asyncpg.Connection) -> None:
    await codegen.make_campaign()
    stores = await codegen.make_stores(3)
    counts = [100, 1, 5_000]
    allotments = [{"store_id": s, "count": n} for s, n in zip(stores, counts, strict=True)]
    batch = await codegen.made({"campaign_id": "spring", "allotments": allotments})
    assert (batch["count"], batch["stores"], batch["loaded"], batch["verified"]) == (5_101, 3, 5_101, 5_101)
    assert batch["first_serial"] == 1
    rows = await tables.fetch("SELECT serial, store_number FROM codes ORDER BY serial")
    assert len(rows) == 5_101
    codes = await codegen.codes(batch["id"])
    assert [serial for _, serial, _ in codes] == [row["serial"] for row in rows]
    assert [store for _, _, store in codes] == [s for s, n in zip(stores, counts, strict=True) for _ in range(n)]
    values = Ff1(RING.newest.key).encrypt(np.array([serial for _, serial, _ in codes], dtype=np.int64))
    assert [code.replace("-", "") for code, _, _ in codes] == [to_text(int(value)) for value in values]


async def test_the_manifest_tells_the_hash_of_each_stores_codes(codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(2)
    batch = await codegen.made({"campaign_id": "spring", "count_per_store": 300, "stores": "all"})
    codes = await codegen.codes(batch["id"])
    reply = await codegen.call("GET", f"/v1/batches/{batch['id']}/manifest.csv")
    lines = reply.text.split("\r\n")
    assert lines[0].startswith("Time UTC,2")
    assert lines[1] == "store_id,store_name,count,first_serial,last_serial,sha256"
    for line in lines[2:-1]:
        store_id, _, count, first, last, sha256 = line.split(",")
        own = [(code, serial) for code, serial, store in codes if store == store_id]
        assert (len(own), own[0][1], own[-1][1]) == (int(count), int(first), int(last))
        text = "".join(code.replace("-", "") + "\n" for code, _ in own)
        assert hashlib.sha256(text.encode()).hexdigest() == sha256


async def test_a_large_batch_gets_its_own_partition_in_the_register(codegen: Codegen, tables: asyncpg.Connection) -> None:
    await codegen.make_campaign()
    stores = await codegen.make_stores(7)
    allotments = [{"store_id": s, "count": 50_000} for s in stores]
    batch = await codegen.made({"campaign_id": "spring", "allotments": allotments})
    assert batch["loaded"] == 350_000
    partitions = await tables.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'codes'::regclass"
    )
    assert [row["name"] for row in partitions] == ["codes_batch_1"]
    assert await tables.fetchval("SELECT count(*) FROM codes") == 350_000
    assert len(await codegen.codes(batch["id"], "&store_id=s-00004")) == 50_000


async def test_a_batch_for_ten_thousand_stores_with_long_ids_is_published(codegen: Codegen, kafka: KafkaConnection) -> None:
    await codegen.make_campaign()
    ids = [f"{'long' * 14}-{number:05}" for number in range(10_000)]
    reply = await codegen.call("PUT", "/v1/stores", [{"id": store_id, "name": "Store"} for store_id in ids])
    assert reply.json == {"created": 10_000, "updated": 0, "unchanged": 0}
    batch = await codegen.made({"campaign_id": "spring", "count_per_store": 2, "stores": "all"})
    assert (batch["stores"], batch["verified"]) == (10_000, 20_000)
    async with LogInspector(kafka) as inspector:
        record = await inspector.last_record(BATCHES.name, 0)
    assert record is not None
    assert record.value is not None
    assert len(record.value) > 1024 * 1024, "more than a broker takes by default"
    assert [a.store_id for a in msgspec.json.decode(record.value, type=Batch).allotments] == ids
