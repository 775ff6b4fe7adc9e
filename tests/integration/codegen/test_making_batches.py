"""The worker: killed, cancelled, shared between copies; and the keys that it must have."""

import asyncio
import hashlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import asyncpg
import numpy as np
import pytest

from services.codegen.app import running
from services.codegen.settings import CodegenSettings
from services.codegen.store.loading import Loading
from shared.codes.alphabet import values_to_texts
from shared.codes.ff1 import Ff1
from shared.codes.key_ring import CodeKey, KeyRing
from shared.codes.words import contains_word
from shared.environment import SettingsError
from tests.integration.codegen.conftest import RING, Codegen, Start, environment_of
from tests.support.halting import halted_in_copy
from tests.support.polling import poll_until

LARGE = 1_200_000


@asynccontextmanager
async def process_of(settings: CodegenSettings) -> AsyncIterator[asyncio.subprocess.Process]:
    """A codegen in a process of its own, killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.codegen", env=environment_of(settings, RING), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def loaded_of(tables: asyncpg.Connection, batch_id: str) -> int:
    return int(await tables.fetchval("SELECT loaded FROM batches WHERE id = $1", batch_id))


async def put_order(codegen: Codegen, count: int, stores: int = 3, key: str = "key-1", **more: Any) -> Any:
    await codegen.make_campaign()
    ids = await codegen.make_stores(stores)
    allotments = [{"store_id": store, "count": count // stores} for store in ids]
    return await codegen.order({"campaign_id": "spring", "allotments": allotments, **more}, key)


@pytest.fixture
async def orders_only(start: Start, monkeypatch: pytest.MonkeyPatch) -> Codegen:
    """A codegen that takes orders and makes none: its worker finds nothing."""

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr("services.codegen.handlers.loading.Loader.claim", nothing)
    codegen = await start()
    monkeypatch.undo()
    return codegen


async def test_a_killed_worker_is_replaced_and_the_codes_are_the_same(
    orders_only: Codegen, tables: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    codegen = orders_only
    batch = await put_order(codegen, LARGE, publish=True)
    for _ in range(2):
        before = await loaded_of(tables, batch["id"])
        async with process_of(codegen.settings) as process:

            async def moved(before: int = before) -> bool:
                return await loaded_of(tables, batch["id"]) > before

            await poll_until(moved, 30, every_seconds=0.01, what="a block being loaded")
            process.send_signal(signal.SIGKILL)
    assert 0 < await loaded_of(tables, batch["id"]) < LARGE
    async with process_of(codegen.settings):
        await codegen.until(batch["id"], "published")
    assert await tables.fetchval("SELECT count(*) FROM codes") == LARGE
    resumed = await codegen.call("GET", f"/v1/batches/{batch['id']}/manifest.csv?header=plain")
    assert await hashes_by_one_maker(tables, batch) == [row.split(",")[5] for row in resumed.text.split("\r\n")[1:-1]]


async def test_a_worker_halted_while_it_sends_rows_is_replaced(orders_only: Codegen, tables: asyncpg.Connection) -> None:
    """Its transaction holds the batch, which nobody else sees until that is ended."""
    codegen = orders_only
    batch = await put_order(codegen, 30_000, publish=True)
    await tables.execute("UPDATE batches SET state = 'generating', worker = 'halted', heartbeat_at = now()")
    loading = "UPDATE batches SET next_block = 1, loaded = 30000 WHERE worker = 'halted'"
    url = codegen.settings.database_url
    async with (
        halted_in_copy(url, schema="codegen", statements=loading, table="codes"),
        process_of(codegen.settings),
    ):
        await codegen.until(batch["id"], "published", seconds=60)
    assert await tables.fetchval("SELECT count(*) FROM codes") == 30_000


async def hashes_by_one_maker(tables: asyncpg.Connection, batch: Any) -> list[str]:
    """The manifest's hashes as an uninterrupted making gives them."""
    serials = np.arange(batch["first_serial"], batch["last_serial"] + 1, dtype=np.int64)
    values = Ff1(RING.newest.key).encrypt(serials)
    texts = values_to_texts(values[~contains_word(values, batch["words"])])
    each = LARGE // 3
    return [
        hashlib.sha256(b"".join(row.tobytes() + b"\n" for row in texts[n * each : (n + 1) * each])).hexdigest()
        for n in range(3)
    ]


@pytest.mark.parametrize("count", [30_000, LARGE])
async def test_cancelling_at_any_moment_leaves_no_row(codegen: Codegen, tables: asyncpg.Connection, count: int) -> None:
    await codegen.make_campaign()
    for number, moment in enumerate((0.0, 0.2, 0.5, 5.0)):
        batch = await put_order(codegen, count, key=f"key-{number}")
        await asyncio.sleep(moment)
        reply = await codegen.call("POST", f"/v1/batches/{batch['id']}/cancel")
        assert (reply.status, reply.json["state"], reply.json["loaded"]) == (200, "cancelled", 0), reply.text
        assert await tables.fetchval("SELECT count(*) FROM codes") == 0
        left = await tables.fetch("SELECT relname FROM pg_class WHERE relname LIKE 'codes_batch_%' AND relkind = 'r'")
        assert left == []
        assert (await codegen.call("POST", f"/v1/batches/{batch['id']}/publish")).status == 409


async def test_a_published_batch_cannot_be_cancelled(codegen: Codegen) -> None:
    batch = await put_order(codegen, 30, publish=True)
    await codegen.until(batch["id"], "published")
    assert (await codegen.call("POST", f"/v1/batches/{batch['id']}/cancel")).status == 409
    assert (await codegen.call("POST", f"/v1/batches/{batch['id']}/publish")).status == 200


async def test_two_copies_share_the_batches_that_wait(start: Start, tables: asyncpg.Connection) -> None:
    one, two = await start(), await start()
    await one.make_campaign()
    stores = await one.make_stores(2)
    ordered = []
    for number in range(8):
        allotments = [{"store_id": store, "count": 60_000} for store in stores]
        body = {"campaign_id": "spring", "allotments": allotments, "publish": True}
        ordered.append(await (one, two)[number % 2].order(body, f"key-{number}"))
    for batch in ordered:
        await one.until(batch["id"], "published", seconds=60)
    assert await tables.fetchval("SELECT count(*) FROM codes") == 8 * 120_000
    totals = await tables.fetch("SELECT batch_number, count(*) AS codes FROM codes GROUP BY 1")
    assert {row["codes"] for row in totals} == {120_000}


async def test_a_batch_that_failed_is_resumed(
    codegen: Codegen, tables: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        message = "no more paper"
        raise RuntimeError(message)

    monkeypatch.setattr("services.codegen.handlers.making.BlockMaker._notes", broken)
    batch = await put_order(codegen, 300_000, publish=True)
    failed = await codegen.until(batch["id"], "failed")
    assert "no more paper" in failed["error"]
    monkeypatch.undo()
    assert (await codegen.call("POST", f"/v1/batches/{batch['id']}/publish")).status == 409
    assert (await codegen.call("POST", f"/v1/batches/{batch['id']}/resume")).json["state"] == "queued"
    done = await codegen.until(batch["id"], "published")
    assert done["error"] is None
    assert await tables.fetchval("SELECT count(*) FROM codes") == 300_000


async def test_a_register_that_is_not_as_ordered_is_never_published(
    codegen: Codegen, tables: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Loading.begin_verifying

    async def after_a_loss(self: Loading, batch_id: str, worker: str) -> Any:
        await tables.execute("DELETE FROM codes_batch_1 WHERE serial = 77")
        return await load(self, batch_id, worker)

    monkeypatch.setattr(Loading, "begin_verifying", after_a_loss)
    batch = await put_order(codegen, 150_000, publish=True)
    failed = await codegen.until(batch["id"], "failed")
    assert "149,999 codes" in failed["error"]


async def test_the_progress_is_streamed_until_the_batch_rests(codegen: Codegen) -> None:
    batch = await put_order(codegen, LARGE, publish=True)
    headers = {"Authorization": f"Bearer {codegen.token}"}
    async with codegen.session.get(f"{codegen.service.url}/v1/batches/{batch['id']}/progress", headers=headers) as response:
        assert response.content_type == "text/event-stream"
        seen = [json.loads(line[6:]) async for line in response.content if line.startswith(b"data: ")]
    assert seen[-1]["state"] == "published"
    assert [view["loaded"] for view in seen] == sorted(view["loaded"] for view in seen)
    assert any(0 < view["loaded"] < LARGE and view["rows_per_second"] > 0 for view in seen)


async def test_the_progress_is_told_no_longer_than_the_token_is_good(codegen: Codegen, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(Loading, "claim_batch", nothing)
    batch = await put_order(codegen, 30)
    token = (await codegen.call("POST", "/v1/tokens", {"name": "guest", "scopes": ["admin"]})).json
    headers = {"Authorization": f"Bearer {token['token']}"}
    async with codegen.session.get(f"{codegen.service.url}/v1/batches/{batch['id']}/progress", headers=headers) as response:
        assert await response.content.readline() == b"event: progress\n"
        assert (await codegen.call("DELETE", f"/v1/tokens/{token['id']}")).status == 204
        with pytest.raises(aiohttp.ClientError):
            async with asyncio.timeout(10):
                await response.content.read()


async def test_a_missing_or_wrong_key_stops_the_service_with_a_sentence(codegen: Codegen) -> None:
    await put_order(codegen, 30)
    other = KeyRing((CodeKey("k1", bytes(32)),))
    with pytest.raises(SettingsError, match="k1 of the key ring is not the one"):
        await running(codegen.settings, other).__aenter__()
    missing = KeyRing((CodeKey("k2", bytes(32)),))
    with pytest.raises(SettingsError, match="k1, which the key ring does not have"):
        await running(codegen.settings, missing).__aenter__()


async def test_batches_under_two_keys_live_together(start: Start) -> None:
    old = await start()
    first = await put_order(old, 3_000, publish=True)
    await old.until(first["id"], "published")
    both = await start(ring=KeyRing((RING.newest, CodeKey("k2", bytes(range(1, 33))))))
    second = await put_order(both, 3_000, key="key-2", publish=True)
    await both.until(second["id"], "published")
    assert (first["key_id"], second["key_id"]) == ("k1", "k2"), "the copy that has no k2 left it to the one that has"
    texts = set()
    for batch in (first, second):
        for text, serial, _ in (await both.codes(batch["id"]))[:50]:
            found = (await both.call("GET", f"/v1/codes/{text}")).json
            assert (found["serial"], found["batch_id"]) == (serial, batch["id"])
            texts.add(text)
    assert len(texts) == 100
