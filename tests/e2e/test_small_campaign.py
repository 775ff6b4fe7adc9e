"""A small campaign through all four services as processes: what they show equals a recomputation from what was asked."""

import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from rich.console import Console

from counterfoil.demo.play import Plan, Played, System, play_demo
from counterfoil.http import Service
from shared.contracts.codec import decoder
from shared.contracts.redemption import Effect, Outcome, effect_of
from shared.contracts.topics import OUTCOMES, REQUESTS
from shared.environment import KafkaConnection
from shared.kafka.inspecting import LogInspector
from tests.support.databases import Databases
from tests.support.polling import poll_until
from tests.support.system import TestSystem, system_of_its_own

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAN = Plan(seed=7, codes=20_000, events=3_000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    kafka_server: str, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TestSystem]:
    async with system_of_its_own(kafka_server, databases, tmp_path_factory.mktemp("system")) as system:
        yield system


async def play(system: TestSystem, folder: Path) -> Played:
    admin, reports = (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {system.environment[token]}"})
        for token in ("ADMIN_TOKEN", "REPORTS_TOKEN")
    )
    async with admin, reports:
        reached = System(
            codegen=Service(admin, "codegen", system.url("codegen")),
            ranking=Service(reports, "ranking", system.url("ranking")),
            reporting=Service(reports, "reporting", system.url("reporting")),
            kafka=system.kafka,
        )
        return await play_demo(reached, PLAN, folder, Console(quiet=True))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(system: TestSystem, tmp_path_factory: pytest.TempPathFactory) -> tuple[Played, Path]:
    """The demo, played once on the system, and the folder with what it wrote."""
    folder = tmp_path_factory.mktemp("played") / "demo"
    before = await requests_on_the_topic(system.kafka)
    played = await play(system, folder)
    assert await requests_on_the_topic(system.kafka) - before == played.sent
    return played, folder


async def outcomes_on_the_topic(kafka: KafkaConnection) -> list[Outcome]:
    """Every outcome once: a repeated record must be the same to the byte."""
    decode = decoder(Outcome)
    found: dict[tuple[int, int], bytes] = {}
    async with LogInspector(kafka) as log:
        for partition in await log.ends(OUTCOMES.name):
            async for record in log.read(OUTCOMES.name, partition, 0):
                value = record.value or b""
                source = decode(value).source
                assert found.setdefault((source.partition, source.offset), value) == value
    return [decode(value) for value in found.values()]


async def requests_on_the_topic(kafka: KafkaConnection) -> int:
    async with LogInspector(kafka) as log:
        return sum((await log.ends(REQUESTS.name)).values())


def net_by_store(outcomes: list[Outcome], campaign_id: str) -> Counter[str]:
    net: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.campaign_id == campaign_id:
            match effect_of(outcome):
                case Effect.REDEMPTION:
                    net[outcome.store_id or ""] += 1
                case Effect.REVERSAL:
                    net[outcome.store_id or ""] -= 1
                case Effect.NONE:
                    pass
    return +net


async def net_in_the_ledger(url: str, campaign_id: str) -> Counter[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT store_id, count(*) - count(v.redemption_id) AS net FROM redemption.redemptions r"
            " LEFT JOIN redemption.reversals v USING (redemption_id) WHERE campaign_id = $1 GROUP BY 1",
            campaign_id,
        )
        return +Counter({row["store_id"]: row["net"] for row in rows})
    finally:
        await connection.close()


async def test_ledger_ranking_and_reporting_equal_a_recomputation_from_the_outcomes(
    system: TestSystem, demo: tuple[Played, Path]
) -> None:
    played, folder = demo
    outcomes = await outcomes_on_the_topic(system.kafka)
    assert len(outcomes) == await requests_on_the_topic(system.kafka) >= played.sent
    expected = net_by_store(outcomes, played.campaign_id)
    assert sum(expected.values()) > 2_000

    assert {row["store_id"]: row["score"] for row in played.board["rows"]} == dict(expected)
    assert await net_in_the_ledger(system.environment["REDEMPTION_DATABASE_URL"], played.campaign_id) == expected

    text = (folder / "performance.csv").read_bytes().decode()
    rows = _table(text)
    assert +Counter({r["store_id"]: int(r["accepted"]) - int(r["reversed"]) for r in rows}) == expected
    assert sum(int(row["issued"]) for row in rows) == PLAN.codes
    for row in rows:
        parts = sum(int(row[name]) for name in ("outstanding", "redeemed", "void", "expired"))
        assert int(row["issued"]) == parts, row

    ranks = {row["store_id"]: str(row["rank"]) for row in played.board["rows"]}
    assert {row["store_id"]: row["rank"] for row in rows if row["rank"]} == ranks
    assert (folder / "top-stores.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "top-stores.svg").read_text(encoding="utf-8")


async def test_every_kind_of_traffic_meets_its_outcome(demo: tuple[Played, Path]) -> None:
    played, _ = demo
    kinds = played.tally.outcomes
    for kind in ("REDEEMED", "REDEEMED (sent again)", "ALREADY_REDEEMED", "UNKNOWN_CODE", "CAMPAIGN_PAUSED", "REVERSED"):
        assert kinds[kind] > 0, kinds
    assert kinds["REDEEMED"] > 0.7 * played.sent


async def test_one_code_by_http_is_answered_alike_each_time(system: TestSystem) -> None:
    await system.call("PUT", "codegen", "/v1/stores", [{"id": "s-1", "name": "Main Street"}])
    await system.call(
        "POST",
        "codegen",
        "/v1/campaigns",
        {
            "id": "c-1",
            "name": "One",
            "starts_at": "2026-01-01T00:00:00Z",
            "ends_at": "2036-01-01T00:00:00Z",
            "time_zone": "Europe/Athens",
        },
    )
    batch = await system.call(
        "POST",
        "codegen",
        "/v1/batches",
        {"campaign_id": "c-1", "allotments": [{"store_id": "s-1", "count": 3}], "publish": True},
        headers={"Idempotency-Key": "k-1"},
    )
    batch = await _published(system, batch["id"])
    text = await system.call("GET", "codegen", f"/v1/batches/{batch['id']}/codes.csv")
    code = _table(text)[0]["code"]
    request = {"event_id": "e-1", "platform": "zork", "code": code, "player_id": "p-1", "occurred_at": _now()}
    first = await _redeem(system, request)
    second = await _redeem(system, request)
    assert (first["outcome"], first["public"], first["duplicate"], first["store_id"]) == ("REDEEMED", "REDEEMED", False, "s-1")
    assert second["duplicate"] is True
    assert second["redemption_id"] == first["redemption_id"]


async def _redeem(system: TestSystem, request: dict[str, str]) -> dict[str, Any]:
    outcome: dict[str, Any] = await system.call("POST", "redemption", "/v1/redemptions", request, token="PLATFORM_TOKEN")
    return outcome


def _table(text: str) -> list[dict[str, str]]:
    first, _, rest = text.partition("\r\n")
    assert first.startswith("Time UTC,")
    return list(csv.DictReader(io.StringIO(rest, newline="")))


def _now() -> str:
    return datetime.now(UTC).isoformat()


async def _published(system: TestSystem, batch_id: str) -> dict[str, Any]:
    async def published() -> dict[str, Any] | None:
        batch: dict[str, Any] = await system.call("GET", "codegen", f"/v1/batches/{batch_id}")
        return batch if batch["state"] == "published" else None

    found: Callable[[], Awaitable[dict[str, Any] | None]] = published
    batch = await poll_until(found, 60)
    assert batch is not None
    return batch
