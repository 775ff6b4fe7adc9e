"""Dumping a system and loading the dump into another one."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.redemption.app import RedemptionSettings, ledger_fixtures
from shared.environment import read_code_keys, read_settings
from tests.integration.counterfoil.conftest import CommandLine
from tests.support.databases import Databases
from tests.support.forked import Forking
from tests.support.polling import poll_until
from tests.support.system import TestSystem, system_of_its_own

pytestmark = pytest.mark.asyncio(loop_scope="session")

STORES = [
    {"id": "s-1", "name": "Main Street", "chain": "playtime", "region": "US-CA"},
    {"id": "s-2", "name": "Δρόμος", "chain": "playtime", "region": "GR"},
    {"id": "s-3", "name": "Closed", "paused": True},
]
WINDOW = {"starts_at": "2026-01-01", "ends_at": "2036-01-01", "time_zone": "America/New_York"}


async def codes_of(system: TestSystem, batch_id: str) -> list[str]:
    """The rows of a batch's export."""
    text: str = await system.call("GET", "codegen", f"/v1/batches/{batch_id}/codes.csv?header=plain")
    return text.splitlines()[1:]


async def redeem(system: TestSystem, row: str, event_id: str) -> Any:
    code = row.partition(",")[0]
    request = {"event_id": event_id, "platform": "zork", "code": code, "player_id": f"p-{event_id}"}
    return await ask(system, "redemptions", request)


async def reverse(system: TestSystem, event_id: str, reverses: str, reason: str) -> Any:
    request = {"event_id": event_id, "platform": "zork", "reverses": reverses, "reason": reason}
    return await ask(system, "reversals", request)


async def ask(system: TestSystem, kind: str, request: dict[str, str]) -> Any:
    body = {**request, "occurred_at": datetime.now(UTC).isoformat()}
    return await system.call("POST", "redemption", f"/v1/{kind}", body, token="PLATFORM_TOKEN")


async def make_batch(system: TestSystem, name: str, allotments: dict[str, int], *, publish: bool) -> str:
    listed = [{"store_id": store, "count": count} for store, count in allotments.items()]
    order = {"campaign_id": "spring", "allotments": listed, "publish": publish}
    batch = await system.call("POST", "codegen", "/v1/batches", order, headers={"Idempotency-Key": name})

    async def rests() -> bool:
        found = await system.call("GET", "codegen", f"/v1/batches/{batch['id']}")
        return bool(found["state"] == ("published" if publish else "ready"))

    await poll_until(rests, 60, what=f"the batch {name}")
    return str(batch["id"])


async def fill(system: TestSystem) -> dict[str, str]:
    """Campaigns, stores, a large and a small published batch, one that is ready, one cancelled, redemptions and a void."""
    await system.call("PUT", "codegen", "/v1/stores", STORES)
    spring = {"id": "spring", "name": "Spring", **WINDOW, "limits": {"per_player": None, "total": 5}}
    await system.call("POST", "codegen", "/v1/campaigns", spring)
    await system.call("POST", "codegen", "/v1/campaigns", {"id": "later", "name": "Later", **WINDOW})
    await system.call("PATCH", "codegen", "/v1/campaigns/later", {"paused": True})
    batches = {
        "large": await make_batch(system, "large", {"s-2": 70_000, "s-1": 40_000}, publish=True),
        "small": await make_batch(system, "small", {"s-1": 300}, publish=True),
        "ready": await make_batch(system, "ready", {"s-1": 10, "s-3": 10}, publish=False),
        "cancelled": await make_batch(system, "cancelled", {"s-1": 10}, publish=False),
    }
    await system.call("POST", "codegen", f"/v1/batches/{batches['cancelled']}/cancel")
    rows = await codes_of(system, batches["large"])
    for number in range(3):
        assert (await redeem(system, rows[number], f"e-{number}"))["outcome"] == "REDEEMED"
    assert (await reverse(system, "r-1", "e-1", "mistake"))["outcome"] == "REVERSED"
    assert (await reverse(system, "r-2", "e-2", "fraud"))["outcome"] == "REVERSED"
    void = {"codes": [rows[9].partition(",")[0]], "reason": "lost", "confirm_outstanding": 1}
    await system.call("POST", "codegen", "/v1/voids", void)
    return batches


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def batches(system: TestSystem) -> dict[str, str]:
    """A filled system: the ids of its batches by what they are."""
    return await fill(system)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def dump(batches: dict[str, str], cli: CommandLine) -> Path:
    await cli.done("fixtures", "dump", "whole", "--register", "--ledger")
    return cli.folder / "whole"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def other(
    system: TestSystem, kafka_server: str, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TestSystem]:
    """An empty system under the same keys."""
    folder = tmp_path_factory.mktemp("system") / "other"
    keys = system.environment["CODE_KEYS_FILE"]
    async with system_of_its_own(kafka_server, databases, folder, CODE_KEYS_FILE=keys) as other:
        yield other


@pytest.fixture
def other_cli(other: TestSystem, forked: Forking) -> CommandLine:
    return CommandLine(forking=forked, environment=other.environment, folder=other.folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


def files_of(dump: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((dump / "manifest.json").read_text())["files"]
    return found


def manifest_rows(dump: Path) -> dict[str, int]:
    """How many of each kind the manifest tells of."""
    return {kind: files_of(dump)[f"{kind}.jsonl"]["rows"] for kind in ("campaigns", "stores", "batches", "voids")}


def register_rows(dump: Path) -> int:
    return sum(file["rows"] for name, file in files_of(dump).items() if name.startswith("register/"))


def ledger_rows(dump: Path) -> int:
    return int(files_of(dump)["redemptions.csv"]["rows"] + files_of(dump)["reversals.csv"]["rows"])


async def test_a_dump_holds_no_code_and_no_key(
    system: TestSystem, cli: CommandLine, batches: dict[str, str], dump: Path
) -> None:
    keys = json.loads(Path(system.environment["CODE_KEYS_FILE"]).read_text())
    code = (await codes_of(system, batches["small"]))[0].partition(",")[0]
    for name, text in contents(dump).items():
        assert keys["keys"][0]["key"].encode() not in text, name
        assert code.encode() not in text, name
        assert code.replace("-", "").encode() not in text, name


async def test_a_dump_that_was_changed_is_refused_by_its_hash(other_cli: CommandLine, dump: Path, tmp_path: Path) -> None:
    tampered = shutil.copytree(dump, tmp_path / "tampered")
    path = tampered / "stores.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("Main Street", "Other Street"), encoding="utf-8")
    assert "stores.jsonl was changed after it was dumped" in await other_cli.refused("fixtures", "load", tampered)


async def test_a_file_that_the_manifest_does_not_name_or_have_is_refused(
    other_cli: CommandLine, dump: Path, tmp_path: Path
) -> None:
    more = shutil.copytree(dump, tmp_path / "more")
    (more / "orders.jsonl").write_text("")
    assert "orders.jsonl is not in the manifest" in await other_cli.refused("fixtures", "load", more)
    less = shutil.copytree(dump, tmp_path / "less")
    (less / "voids.jsonl").unlink()
    assert "voids.jsonl is missing" in await other_cli.refused("fixtures", "load", less)


async def test_another_key_ring_is_refused_with_a_sentence(other_cli: CommandLine, dump: Path, tmp_path: Path) -> None:
    for key_id, sentence in (("k1", "was made with another key k1"), ("k7", "key ring here does not have")):
        ring = tmp_path / "ring.json"
        ring.write_text(json.dumps({"keys": [{"id": key_id, "key": "ab" * 32}]}))
        assert sentence in await other_cli.refused("fixtures", "load", dump, CODE_KEYS_FILE=str(ring))


async def test_a_system_that_is_not_empty_says_what_is_in_the_way(cli: CommandLine, dump: Path) -> None:
    rows = manifest_rows(dump)
    sentence = await cli.refused("fixtures", "load", dump, "--no-ledger")
    assert (
        f"not empty: {rows['campaigns']} campaigns, {rows['stores']} stores, {rows['batches']} batches, {rows['voids']} voids"
        in sentence
    )


async def test_a_folder_that_is_not_empty_is_not_dumped_into(cli: CommandLine, dump: Path) -> None:
    assert "is not empty" in await cli.refused("fixtures", "dump", dump)


async def test_a_ledger_may_be_there_before_the_rest(other: TestSystem, dump: Path) -> None:
    """As it is left by a load that broke off between the two transactions; the same load goes on in the next test."""
    environment = {**os.environ, **other.environment}
    settings, keys = read_settings(RedemptionSettings, environment), read_code_keys(environment)
    async with ledger_fixtures(settings, keys) as ledger:
        assert await ledger.obstacles(dump) == []
        assert await ledger.load(dump) == ledger_rows(dump)
        assert await ledger.obstacles(dump) == []
        assert await ledger.is_loaded(dump)


async def test_a_loaded_system_is_the_dumped_one(
    system: TestSystem, other: TestSystem, other_cli: CommandLine, batches: dict[str, str], dump: Path
) -> None:
    """Same files when dumped again, same codes, and every service knows what happened before."""
    loaded = await other_cli.json("fixtures", "load", dump)
    assert loaded["announced"], other.programs["codegen-1"].log_file.read_text()[-3_000:]
    assert {kind: loaded[kind] for kind in ("campaigns", "stores", "batches", "voids")} == manifest_rows(dump)
    assert (loaded["codes"], loaded["outcomes"]) == (register_rows(dump), ledger_rows(dump))

    await other_cli.done("fixtures", "dump", "again", "--register", "--ledger")
    assert contents(other_cli.folder / "again") == contents(dump)
    for name in ("large", "small", "ready"):
        assert await codes_of(other, batches[name]) == await codes_of(system, batches[name])

    rows = await codes_of(other, batches["large"])
    assert (await redeem(other, rows[0], "n-0"))["outcome"] == "ALREADY_REDEEMED"
    assert (await redeem(other, rows[1], "n-1"))["outcome"] == "REDEEMED"
    assert (await redeem(other, rows[2], "n-2"))["outcome"] == "ALREADY_REDEEMED"
    assert (await redeem(other, rows[9], "n-9"))["outcome"] == "CODE_VOID"
    small = await codes_of(other, batches["small"])
    assert (await redeem(other, small[0], "n-s"))["outcome"] == "REDEEMED"

    await figures_reach(other, accepted=5, reversed_=2)
    story = await other_cli.json("code", rows[1].partition(",")[0])
    assert (story["state"], [entry["event_id"] for entry in story["history"]]) == ("redeemed", ["e-1", "n-1"])


async def test_the_total_limit_counts_what_was_loaded(other: TestSystem, batches: dict[str, str]) -> None:
    """Of five, e-0, e-2 (fraud keeps its slot), n-1 and n-s are taken."""
    rows = await codes_of(other, batches["large"])
    assert (await redeem(other, rows[20], "n-20"))["outcome"] == "REDEEMED"
    assert (await redeem(other, rows[21], "n-21"))["outcome"] == "CAMPAIGN_LIMIT_REACHED"


async def test_new_batches_go_on_after_the_loaded_ones(other: TestSystem) -> None:
    small = await make_batch(other, "next", {"s-1": 20}, publish=True)
    assert len(await codes_of(other, small)) == 20
    large = await make_batch(other, "next large", {"s-1": 100_001}, publish=False)
    assert len(await codes_of(other, large)) == 100_001


async def figures_reach(system: TestSystem, *, accepted: int, reversed_: int) -> None:
    """Ranking and reporting come to show what the ledger says."""

    async def agreed() -> bool:
        summary = await system.call("GET", "reporting", "/v1/campaigns/spring/summary", token="REPORTS_TOKEN")
        board = await system.call("GET", "ranking", "/v1/campaigns/spring/leaderboard?window=all", token="REPORTS_TOKEN")
        score = sum(row["score"] for row in board["rows"])
        return (summary["accepted"], summary["reversed"], score) == (accepted, reversed_, accepted - reversed_)

    await poll_until(agreed, 20, what="the figures")
