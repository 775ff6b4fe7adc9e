"""Exports: streamed, resumable, squeezed where asked for, harmless in a spreadsheet, noted in the audit log."""

import asyncio
import gzip

import aiohttp

from tests.integration.codegen.conftest import Codegen
from tests.support.polling import poll_until


async def test_an_export_is_resumed_after_any_serial(codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(3)
    batch = await codegen.made({"campaign_id": "spring", "count_per_store": 50_000, "stores": "all"})
    whole = await codegen.codes(batch["id"])
    assert len(whole) == 150_000
    for place in (0, 65_535, 65_536, 149_998):
        assert await codegen.codes(batch["id"], f"&after_serial={whole[place][1]}") == whole[place + 1 :]
    assert await codegen.codes(batch["id"], f"&after_serial={batch['last_serial']}") == []
    second = await codegen.codes(batch["id"], "&store_id=s-00002")
    assert second == [row for row in whole if row[2] == "s-00002"]


async def test_the_first_row_tells_the_time_and_codes_are_grouped(codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.call("PUT", "/v1/stores", [{"id": "=1+1", "name": "=cmd()"}, {"id": "s-2", "name": "Two"}])
    batch = await codegen.made({"campaign_id": "spring", "count_per_store": 12, "stores": "all"})
    reply = await codegen.call("GET", f"/v1/batches/{batch['id']}/codes.csv")
    lines = reply.text.split("\r\n")
    assert lines[0].startswith("Time UTC,20")
    assert lines[1] == "code,serial,store_id"
    assert len(lines[2].split(",")[0]) == 11
    assert lines[2].endswith(",'=1+1")
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert reply.headers["Content-Disposition"] == f'attachment; filename="codes-{batch["id"]}.csv"'
    manifest = await codegen.call("GET", f"/v1/batches/{batch['id']}/manifest.csv?header=plain")
    assert manifest.text.split("\r\n")[1].startswith("'=1+1,'=cmd(),12,")


async def test_an_export_is_squeezed_where_the_client_asks_for_it(codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(1)
    batch = await codegen.made({"campaign_id": "spring", "count_per_store": 5_000, "stores": "all"})
    url = f"{codegen.service.url}/v1/batches/{batch['id']}/codes.csv?header=plain"
    headers = {"Authorization": f"Bearer {codegen.token}", "Accept-Encoding": "gzip"}
    async with aiohttp.ClientSession(auto_decompress=False) as session, session.get(url, headers=headers) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        squeezed = await response.read()
    plain = await codegen.call(
        "GET", f"/v1/batches/{batch['id']}/codes.csv?header=plain", headers={"Accept-Encoding": "identity"}
    )
    assert gzip.decompress(squeezed).decode() == plain.text


async def test_what_cannot_be_exported_is_refused(codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(2)
    body = {"campaign_id": "spring", "allotments": [{"store_id": "s-00001", "count": 5}]}
    batch = await codegen.made(body)
    path = f"/v1/batches/{batch['id']}/codes.csv"
    assert (await codegen.call("GET", f"{path}?store_id=s-00002")).status == 404
    assert (await codegen.call("GET", f"{path}?after_serial=-1")).status == 422
    assert (await codegen.call("GET", "/v1/batches/b-none/codes.csv")).status == 404
    cancelled = await codegen.order(body, "key-2")
    await codegen.call("POST", f"/v1/batches/{cancelled['id']}/cancel")
    assert (await codegen.call("GET", f"/v1/batches/{cancelled['id']}/codes.csv")).status == 409


async def test_a_client_that_leaves_in_the_middle_holds_nothing_up(codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(2)
    batch = await codegen.made({"campaign_id": "spring", "count_per_store": 200_000, "stores": "all"})
    headers = {"Authorization": f"Bearer {codegen.token}"}
    for _ in range(20):
        response = await codegen.session.get(f"{codegen.service.url}/v1/batches/{batch['id']}/codes.csv", headers=headers)
        await response.content.readany()
        response.close()
    async with asyncio.timeout(10):
        assert (await codegen.call("GET", "/v1/campaigns")).status == 200

    async def noted() -> bool:
        entries = (await codegen.call("GET", f"/v1/audit?subject={batch['id']}")).json["items"]
        return len([entry for entry in entries if entry["action"] == "codes.exported"]) == 20

    await poll_until(noted, what="every export being in the audit log")
