"""What callers hold on to: statuses, errors by field, pages, idempotency."""

import asyncio
import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.integration.codegen.conftest import Codegen, campaign_body


async def test_a_campaign_is_made_read_listed_and_changed(codegen: Codegen) -> None:
    reply = await codegen.call("POST", "/v1/campaigns", campaign_body(games=["zork"], limits={"per_store": 5}))
    assert reply.status == 201
    made = reply.json
    assert made["state"] == "active"
    assert made["limits"] == {"per_player": 1, "per_store": 5, "total": None}
    assert (made["paused"], made["archived"]) == (False, False)
    again = await codegen.call("POST", "/v1/campaigns", campaign_body(games=["zork"], limits={"per_store": 5}))
    assert (again.status, again.json["created_at"]) == (200, made["created_at"])
    other = await codegen.call("POST", "/v1/campaigns", campaign_body(name="Other"))
    assert other.status == 409
    assert other.headers["Content-Type"] == "application/problem+json"
    assert (await codegen.call("GET", "/v1/campaigns/spring")).json == made
    paused = await codegen.call("PATCH", "/v1/campaigns/spring", {"paused": True, "ends_at": "2037-01-01"})
    assert (paused.status, paused.json["state"], paused.json["ends_at"]) == (200, "paused", "2037-01-02T05:00:00Z")
    assert (await codegen.call("GET", "/v1/campaigns")).json["items"] == [paused.json]
    assert (await codegen.call("GET", "/v1/campaigns/autumn")).status == 404


async def test_a_wrong_campaign_is_refused_field_by_field(codegen: Codegen) -> None:
    body = campaign_body(ends_at="2026-10-01", time_zone="America/New_York", colour="red")
    reply = await codegen.call("POST", "/v1/campaigns", body)
    assert (reply.status, reply.errors()) == (422, {"colour": "is not a known field"})
    reply = await codegen.call("POST", "/v1/campaigns", campaign_body(ends_at="2026-10-01"))
    assert (reply.status, set(reply.errors())) == (422, {"ends_at"})
    reply = await codegen.call("POST", "/v1/campaigns", campaign_body(limits={"per_player": 0}))
    assert (reply.status, set(reply.errors())) == (422, {"limits.per_player"})
    reply = await codegen.call("POST", "/v1/campaigns", data="{")
    assert reply.status == 400
    assert (await codegen.call("GET", "/v1/campaigns")).json["items"] == []


async def test_stores_are_put_all_or_nothing(codegen: Codegen) -> None:
    rows = [
        {"id": "s-0042", "name": "Main Street", "chain": "playtime", "region": "US-CA", "country": "US", "peer_group": "mall"}
    ]
    assert (await codegen.call("PUT", "/v1/stores", rows)).json == {"created": 1, "updated": 0, "unchanged": 0}
    text = "id,name,paused\r\ns-0042,Main Street,true\r\ns-0043,Elm Street,\r\n"
    reply = await codegen.call("PUT", "/v1/stores", data=text, headers={"Content-Type": "text/csv"})
    assert reply.json == {"created": 1, "updated": 1, "unchanged": 0}
    reply = await codegen.call("PUT", "/v1/stores", data=text, headers={"Content-Type": "text/csv"})
    assert reply.json == {"created": 0, "updated": 0, "unchanged": 2}
    bad = [*({"id": f"n-{n}", "name": "New"} for n in range(3)), {"id": "", "name": 7}]
    reply = await codegen.call("PUT", "/v1/stores", bad)
    assert (reply.status, set(reply.errors())) == (422, {"3.id", "3.name"})
    stores = (await codegen.call("GET", "/v1/stores")).json["items"]
    assert [store["id"] for store in stores] == ["s-0042", "s-0043"]
    assert (stores[0]["chain"], stores[0]["paused"]) == (None, True), "a store is replaced as a whole"
    reply = await codegen.call("PUT", "/v1/stores", data=b"id,name\ns,\xff\n", headers={"Content-Type": "text/csv"})
    assert reply.status == 400


async def test_a_list_comes_in_pages(codegen: Codegen) -> None:
    ids = await codegen.make_stores(120)
    found, cursor = [], ""
    while cursor is not None:
        page = (await codegen.call("GET", f"/v1/stores?limit=50{'&cursor=' + cursor if cursor else ''}")).json
        found += [store["id"] for store in page["items"]]
        cursor = page["next_cursor"]
    assert found == ids
    assert len((await codegen.call("GET", "/v1/stores")).json["items"]) == 50
    for query in ("limit=0", "limit=1001", "limit=x", "cursor=%21", "limitt=5"):
        assert (await codegen.call("GET", f"/v1/stores?{query}")).status == 422, query


async def test_an_order_needs_a_key_and_the_same_key_gives_the_same_batch(codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(2)
    body = {"campaign_id": "spring", "count_per_store": 5, "stores": "all"}
    assert (await codegen.call("POST", "/v1/batches", body)).status == 400
    headers = {"Idempotency-Key": "k"}
    first = await codegen.call("POST", "/v1/batches", body, headers=headers)
    assert (first.status, first.headers["Location"]) == (202, f"/v1/batches/{first.json['id']}")
    again = await codegen.call("POST", "/v1/batches", {**body, "publish": False}, headers=headers)
    assert (again.status, again.json["id"]) == (202, first.json["id"])
    other = await codegen.call("POST", "/v1/batches", {**body, "count_per_store": 6}, headers=headers)
    assert other.status == 422
    assert len((await codegen.call("GET", "/v1/batches?campaign_id=spring")).json["items"]) == 1


BAD_ORDERS: list[tuple[dict[str, Any], str]] = [
    ({"allotments": [{"store_id": "s-00001", "count": -1}]}, "allotments.0.count"),
    ({"allotments": [{"store_id": "s-00001", "count": 10**12}]}, "allotments.0.count"),
    ({"allotments": [{"store_id": "s-00001", "count": "5"}]}, "allotments.0.count"),
    ({"allotments": [{"store_id": "nowhere", "count": 1}]}, "allotments.0.store_id"),
    ({"allotments": [{"store_id": "s-00001", "count": 1}, {"store_id": "s-00001", "count": 1}]}, "allotments.1.store_id"),
    ({"allotments": []}, "allotments"),
    ({"campaign_id": "autumn", "count_per_store": 1, "stores": "all"}, "campaign_id"),
    ({"count_per_store": 1}, "(body)"),
    ({}, "(body)"),
    ({"count_per_store": 90_000_000, "stores": "all"}, "count_per_store"),
]


async def test_a_wrong_order_is_refused_with_field_and_reason_and_nothing_is_stored(codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(2)
    for number, (body, field) in enumerate(BAD_ORDERS):
        headers = {"Idempotency-Key": f"bad-{number}"}
        reply = await codegen.call("POST", "/v1/batches", {"campaign_id": "spring", **body}, headers=headers)
        assert (reply.status, list(reply.errors())) == (422, [field]), reply.text
    assert (await codegen.call("GET", "/v1/batches")).json == {"items": [], "next_cursor": None}


async def test_a_plan_makes_nothing(codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(4)
    body = {"campaign_id": "spring", "count_per_store": 2_500_000, "stores": "all"}
    plan = (await codegen.call("POST", "/v1/batches/plan", body)).json
    assert (plan["count"], plan["stores"], plan["live_codes_after"]) == (10_000_000, 4, 10_000_000)
    assert plan["guesses_per_hit"] == 32**9 // 10_000_000
    assert plan["seconds"] > 0
    assert plan["database_bytes"] > 10_000_000 * 40
    assert (await codegen.call("GET", "/v1/batches")).json["items"] == []


async def test_a_batch_that_makes_guessing_easy_is_refused(start: Any) -> None:
    codegen = await start(codegen_least_guesses_per_hit=10**10)
    await codegen.make_campaign()
    await codegen.make_stores(1)
    reply = await codegen.call(
        "POST", "/v1/batches/plan", {"campaign_id": "spring", "count_per_store": 10_000, "stores": "all"}
    )
    assert reply.status == 422
    assert "guesses" in reply.text


async def test_only_an_admin_may(codegen: Codegen) -> None:
    made = await codegen.call("POST", "/v1/tokens", {"name": "reports", "scopes": ["reports"]})
    assert made.status == 201
    token = made.json["token"]
    assert (await codegen.call("GET", "/v1/campaigns", token=token)).status == 404
    assert (await codegen.call("POST", "/v1/campaigns", campaign_body(), token=token)).status == 403
    assert (await codegen.call("GET", "/v1/campaigns", token="cf_nobody")).status == 401
    listed = (await codegen.call("GET", "/v1/tokens")).json["items"]
    assert {row["name"] for row in listed} == {"first admin", "reports"}
    assert "token" not in listed[0]
    assert token not in str(listed)
    assert (await codegen.call("DELETE", f"/v1/tokens/{made.json['id']}")).status == 204
    assert (await codegen.call("DELETE", f"/v1/tokens/{made.json['id']}")).status == 204
    assert (await codegen.call("GET", "/v1/campaigns", token=token)).status == 401
    assert (await codegen.call("DELETE", "/v1/tokens/t-none")).status == 404


async def test_who_has_no_cookie_is_asked_for_a_token_and_shown_nothing(codegen: Codegen) -> None:
    await codegen.make_campaign("hidden-campaign")
    asked = await codegen.call("GET", "/")
    assert (asked.status, asked.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "Your access token" in asked.text
    assert "hidden-campaign" not in asked.text
    refused = await codegen.call("POST", "/session", data={"token": "cf_wrong"})
    assert (refused.status, "Set-Cookie" in refused.headers) == (401, False)


async def test_lists_of_the_same_new_stores_may_come_at_once(codegen: Codegen) -> None:
    lists = [[{"id": f"s-{number}", "name": f"From {place}"} for number in range(50)] for place in range(8)]
    replies = await asyncio.gather(*(codegen.call("PUT", "/v1/stores", rows) for rows in lists))
    assert [reply.status for reply in replies] == [200] * 8
    assert sum(reply.json["created"] for reply in replies) == 50
    assert {store["revision"] for store in (await codegen.call("GET", "/v1/stores")).json["items"]} == {8}


@pytest.mark.parametrize("scope", ["root", "platform:", "store:a b", "platform:" + "x" * 33])
async def test_a_scope_that_does_not_exist_is_refused(codegen: Codegen, scope: str) -> None:
    reply = await codegen.call("POST", "/v1/tokens", {"name": "x", "scopes": ["admin", scope]})
    assert (reply.status, list(reply.errors())) == (422, ["scopes.1"])


async def test_a_token_that_has_expired_is_refused_when_it_is_made(codegen: Codegen) -> None:
    body = {"name": "x", "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z"}
    assert set((await codegen.call("POST", "/v1/tokens", body)).errors()) == {"expires_at"}


async def test_what_admins_do_is_in_the_audit_log(codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(1)
    batch = await codegen.made({"campaign_id": "spring", "count_per_store": 3, "stores": "all"})
    await codegen.codes(batch["id"])
    page = (await codegen.call("GET", "/v1/audit?limit=3")).json
    assert [entry["action"] for entry in page["items"]] == ["codes.exported", "batch.published", "batch.ordered"]
    rest = (await codegen.call("GET", f"/v1/audit?cursor={page['next_cursor']}")).json
    assert [entry["action"] for entry in rest["items"]] == ["stores.put", "campaign.created", "token.created"]
    assert rest["next_cursor"] is None


async def test_the_documents_and_probes_need_no_token(codegen: Codegen) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs"):
        async with codegen.session.get(codegen.service.url + path) as response:
            assert response.status == 200, path
    document = (await codegen.call("GET", "/openapi.json")).json
    assert document["openapi"] == "3.1.0"
    validate(document)
    assert "/v1/batches/{batch_id}/codes.csv" in document["paths"]


UNREADABLE_FORMS = {
    "application/x-www-form-urlencoded": b"token=\xff\xfe",
    "application/x-www-form-urlencoded; charset=nonsense": b"token=x",
    "multipart/form-data": b"x",
    "multipart/form-data; boundary=x": b"--x\r\nno header\r\n",
}


@pytest.mark.parametrize("content_type", UNREADABLE_FORMS)
async def test_a_form_that_cannot_be_read_is_the_senders_fault(codegen: Codegen, content_type: str) -> None:
    url, headers = codegen.service.url + "/session", {"Content-Type": content_type}
    async with codegen.session.post(url, data=UNREADABLE_FORMS[content_type], headers=headers) as response:
        assert (response.status, response.content_type) == (400, "application/problem+json")


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 303), ("none", 303)])
async def test_another_site_signs_nobody_in_or_out(codegen: Codegen, site: str, status: int) -> None:
    for path in ("/session", "/session/end"):
        url, form, headers = codegen.service.url + path, {"token": codegen.token}, {"Sec-Fetch-Site": site}
        async with codegen.session.post(url, data=form, headers=headers, allow_redirects=False) as response:
            assert (response.status, "Set-Cookie" in response.headers) == (status, status == 303)


async def test_the_page_of_tokens_leads_to_all_of_them(codegen: Codegen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.codegen.api.pages.lists.ROWS_SHOWN", 2)
    for number in range(4):
        await codegen.call("POST", "/v1/tokens", {"name": f"number {number}", "scopes": ["ops"]})
    path, names = "/tokens", set()
    for _ in range(3):
        text = (await codegen.call("GET", path, headers={"Cookie": f"counterfoil_token={codegen.token}"})).text
        names |= set(re.findall(r"<td>(number \d|first admin)</td>", text))
        path = next(iter(re.findall(r'href="(/tokens\?cursor=\w+)"', text)), "")
    assert (path, len(names)) == ("", 5)
