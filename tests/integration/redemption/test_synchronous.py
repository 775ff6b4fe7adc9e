"""Callers by HTTP and XML-RPC: the same path, the same outcomes; what is hostile is refused at once."""

import asyncio
import base64
import time
import xmlrpc.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import asyncpg
import pytest

from services.redemption import app
from services.redemption.app import RedemptionSettings, running
from shared.environment import read_settings
from shared.lifecycle import RunningService
from tests.integration.redemption.world import KEYS, PLATFORM, TOKEN, World, code_of, redeem, unique
from tests.support.polling import poll_until


@pytest.fixture
async def http(service: RunningService) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(service.url, headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        yield session


def body(event_id: str, code: str, **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in redeem(event_id, code, **changes).items() if name != "type"}


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def post(http: aiohttp.ClientSession, path: str, value: Any, **options: Any) -> tuple[int, dict[str, Any]]:
    async with http.post(path, json=value, **options) as response:
        return response.status, await response.json(content_type=None)


async def call(http: aiohttp.ClientSession, method: str, *parameters: Any, **options: Any) -> Any:
    text = xmlrpc.client.dumps(parameters, method)
    async with http.post("/RPC2", data=text, headers={"Content-Type": "text/xml", **options}) as response:
        assert response.status == 200
        (answer,), _ = xmlrpc.client.loads(await response.text())
        return answer


async def test_a_caller_gets_the_outcome_of_the_own_record(http: aiohttp.ClientSession, world: World) -> None:
    answers = await asyncio.gather(*(post(http, "/v1/redemptions", body(f"e-{n}", code_of(1))) for n in range(8)))
    assert {status for status, _ in answers} == {200}
    outcomes = [outcome["outcome"] for _, outcome in answers]
    assert sorted(outcomes) == ["ALREADY_REDEEMED"] * 7 + ["REDEEMED"]
    assert [outcome["event_id"] for _, outcome in answers] == [f"e-{n}" for n in range(8)]


class NothingArrives:
    """A follower that is at the ends, and to whom the outcomes topic brings nothing."""

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def wait_loaded(self) -> None:
        return


async def test_a_caller_of_the_copy_that_decides_need_not_wait_for_the_outcome_to_be_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "outcomes_follower", lambda _kafka, _arrived: NothingArrives())
    monkeypatch.setenv("CODE_KEYS", KEYS.to_json())
    async with (
        running(read_settings(RedemptionSettings, world.environment)) as service,
        aiohttp.ClientSession(service.url, headers={"Authorization": f"Bearer {TOKEN}"}) as http,
    ):
        status, outcome = await post(http, "/v1/redemptions", body("e-1", code_of(3)))
    assert (status, outcome["outcome"]) == (200, "REDEEMED")


async def test_an_event_can_be_looked_up_once_it_is_accepted(http: aiohttp.ClientSession, world: World) -> None:
    async with http.get(f"/v1/redemptions/{PLATFORM}/e-1") as response:
        assert response.status == 404
    _, first = await post(http, "/v1/redemptions", body("e-1", code_of(3)))
    async with http.get(f"/v1/redemptions/{PLATFORM}/e-1") as response:
        found = await response.json()
    assert {**found, "prev": None} == {**first, "prev": None}
    reversal = {
        "event_id": "r-1",
        "platform": PLATFORM,
        "reverses": "e-1",
        "reason": "grant_failed",
        "occurred_at": datetime.now(UTC).isoformat(),
    }
    status, taken_back = await post(http, "/v1/reversals", reversal)
    assert (status, taken_back["outcome"], taken_back["public"]) == (200, "REVERSED", "NOT_VALID")
    async with http.get(f"/v1/redemptions/{PLATFORM}/e-1") as response:
        assert (await response.json())["outcome"] == "REDEMPTION_REVERSED"


async def test_tokens_say_who_speaks(http: aiohttp.ClientSession, world: World, service: RunningService) -> None:
    status, _ = await post(http, "/v1/redemptions", body("e-1", code_of(1), platform="other"))
    assert status == 403
    status, _ = await post(http, "/v1/redemptions", body("e-1", code_of(1)), headers={"Authorization": "Bearer nobody"})
    assert status == 401
    async with http.get("/v1/redemptions/other/e-1") as response:
        assert response.status == 403
    async with aiohttp.ClientSession(service.url) as nobody, nobody.get("/openapi.json") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"event_id": ""}, 422),
        ({"unknown": 1}, 422),
        ({"code": "a\x01b"}, 422),
        ({"player_id": "x" * 129}, 422),
        ({"occurred_at": 1_790_000_000}, 422),
        ({"occurred_at": "1790000000"}, 422),
        ({"occurred_at": "9999-12-31T23:59:59-05:00"}, 422),
        (None, 400),
    ],
)
async def test_what_could_not_be_decided_is_refused_field_by_field(
    http: aiohttp.ClientSession, world: World, change: dict[str, Any] | None, status: int
) -> None:
    value = body("e-1", code_of(1))
    if change is None:
        async with http.post("/v1/redemptions", data=b"{") as response:
            assert response.status == status
    else:
        assert (await post(http, "/v1/redemptions", {**value, **change}))[0] == status
    assert await world.outcomes(0) == await world.outcomes(1) == []


async def test_xml_rpc_redeems_checks_and_reverses(http: aiohttp.ClientSession, world: World) -> None:
    code = code_of(9)
    assert await call(http, "check", code) == {"state": "issued", "public": "REDEEMED"}
    first = await call(http, "redeem", PLATFORM, "x-1", code, "p-1")
    assert (first["outcome"], first["serial"], first["duplicate"]) == ("REDEEMED", 9, False)
    assert "retry_after" not in first
    assert await call(http, "check", code) == {"state": "redeemed", "public": "NOT_VALID"}
    assert (await call(http, "redeem", PLATFORM, "x-1", code, "p-1"))["duplicate"] is True
    assert (await call(http, "reverse", PLATFORM, "x-2", "x-1", "mistake"))["outcome"] == "REVERSED"
    assert await call(http, "check", code_of(700_000)) == {"state": "unknown", "public": "NOT_VALID"}
    (row,) = await world.query("SELECT sum(unknown) AS n FROM platform_tallies WHERE partition = -1")
    assert row["n"] == 1


async def test_xml_rpc_tells_its_methods_and_takes_several_calls_at_once(http: aiohttp.ClientSession, world: World) -> None:
    assert "redeem" in await call(http, "system.listMethods")
    assert (await call(http, "system.methodHelp", "check")).startswith("check(code)")
    assert await call(http, "system.methodSignature", "check") == [["struct", "string"]]
    calls = [
        {"methodName": "redeem", "params": [PLATFORM, "m-1", code_of(11), "p"]},
        {"methodName": "nothing", "params": []},
        {"methodName": "system.multicall", "params": [[]]},
        {"methodName": "redeem", "params": ["other", "m-2", code_of(12), "p"]},
    ]
    redeemed, missing, nested, other = await call(http, "system.multicall", calls)
    assert redeemed[0]["outcome"] == "REDEEMED"
    assert [answer["faultCode"] for answer in (missing, nested, other)] == [404, 422, 403]


async def test_xml_rpc_takes_the_token_as_bearer_or_as_password(http: aiohttp.ClientSession, world: World) -> None:
    assert "redeem" in await call(http, "system.listMethods", Authorization=basic("whoever", TOKEN))
    for header in ("Bearer nobody", "Basic !!!", basic("whoever", "wrong")):
        with pytest.raises(xmlrpc.client.Fault) as fault:
            await call(http, "system.listMethods", Authorization=header)
        assert fault.value.faultCode == 401


BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY a%d "%s">' % (n, b"&a;" * 10) for n in range(9)
)
HOSTILE = {
    "entities": BOMB + b"]><methodCall><methodName>&a8;</methodName></methodCall>",
    "nesting": b"<methodCall><methodName>check</methodName><params>" + b"<param><value><array><data>" * 1_500,
    "external": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><methodCall><methodName>&x;</methodName></methodCall>',
    "nothing": b"",
    "no call": b"<a/>",
}


@pytest.mark.parametrize("name", list(HOSTILE))
async def test_a_hostile_document_is_refused_in_no_time(http: aiohttp.ClientSession, world: World, name: str) -> None:
    started = time.process_time()
    async with http.post("/RPC2", data=HOSTILE[name], headers={"Content-Type": "text/xml"}) as response:
        with pytest.raises(xmlrpc.client.Fault) as fault:
            xmlrpc.client.loads(await response.text())
    assert fault.value.faultCode == 400
    assert time.process_time() - started < 0.1


async def test_ten_megabytes_are_not_even_read(http: aiohttp.ClientSession, world: World) -> None:
    async with http.post("/RPC2", data=b"<" * 10_000_000) as response:
        assert response.status == 413


async def test_a_request_sent_again_is_answered_again(world: World, http: aiohttp.ClientSession) -> None:
    event = unique()
    first = await post(http, "/v1/redemptions", body(event, code_of(20)))
    again = await post(http, "/v1/redemptions", body(event, code_of(20)))
    assert (first[1]["duplicate"], again[1]["duplicate"]) == (False, True)
    assert first[1]["redemption_id"] == again[1]["redemption_id"]


async def test_a_late_outcome_is_504_with_the_event_and_can_be_looked_up_afterwards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE_KEYS", KEYS.to_json())
    settings = {**world.environment, "REDEMPTION_OUTCOME_WAIT_SECONDS": "0.2"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with running(read_settings(RedemptionSettings, settings)) as service:
        async with aiohttp.ClientSession(service.url, headers=headers) as http:
            async with held_up(world):
                status, problem = await post(http, "/v1/redemptions", body("late-1", code_of(30)))
                assert (status, problem["event_id"]) == (504, "late-1")
                with pytest.raises(xmlrpc.client.Fault) as fault:
                    await call(http, "redeem", PLATFORM, "late-2", code_of(31), "p-1")
                assert fault.value.faultCode == 504
            found = await poll_until(lambda: looked_up(http, "late-1"), what="the late outcome")
            assert (found["outcome"], found["event_id"]) == ("REDEEMED", "late-1")
            assert (await poll_until(lambda: looked_up(http, "late-2"), what="the other one"))["serial"] == 31
        assert len(await world.query("SELECT FROM redemptions")) == 2


@asynccontextmanager
async def held_up(world: World) -> AsyncIterator[None]:
    """Nothing can be decided meanwhile: somebody holds the ledger's places."""
    connection = await asyncpg.connect(world.database_url, server_settings={"search_path": "redemption"})
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE positions IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def looked_up(http: aiohttp.ClientSession, event_id: str) -> dict[str, Any] | None:
    async with http.get(f"/v1/redemptions/{PLATFORM}/{event_id}") as response:
        return await response.json() if response.status == 200 else None
