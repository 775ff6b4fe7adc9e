"""The drill: databases are put back to a moment ago while the topics have gone on, and all ends equal again."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import pytest
import pytest_asyncio

from shared.contracts.codec import decoder, encode
from shared.contracts.codegen import Batch
from shared.contracts.redemption import Outcome
from shared.contracts.topics import BATCHES
from shared.kafka.inspecting import LogInspector
from shared.kafka.publishing import Publisher
from tests.support.campaign import (
    SmallCampaign,
    net_by_store,
    open_campaign,
    outcomes,
    send,
    wait_decided,
    wait_ends_equal,
)
from tests.support.databases import Databases
from tests.support.polling import poll_until
from tests.support.system import TestSystem, system_of_its_own

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    kafka_server: str, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TestSystem]:
    async with system_of_its_own(kafka_server, databases, tmp_path_factory.mktemp("system")) as system:
        yield system


async def command(system: TestSystem, *words: str, status: int = 0) -> str:
    """What a command says. Fails when it ends otherwise than with this status."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "counterfoil",
        *words,
        env={**os.environ, **system.environment},
        cwd=system.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == status, said.decode()
    return said.decode()


async def ledger(system: TestSystem, campaign: SmallCampaign) -> Counter[str]:
    """Redemptions of the campaign less its reversals, of each store in the ledger."""
    connection = await asyncpg.connect(system.environment["REDEMPTION_DATABASE_URL"])
    try:
        rows = await connection.fetch(
            "SELECT store_id, count(*) - count(v.redemption_id) AS net FROM redemption.redemptions r"
            " LEFT JOIN redemption.reversals v USING (redemption_id) WHERE campaign_id = $1 GROUP BY 1",
            campaign.id,
        )
        return +Counter({row["store_id"]: row["net"] for row in rows})
    finally:
        await connection.close()


def answers(found: Sequence[Outcome], prefix: str) -> Counter[str]:
    return Counter(outcome.outcome.value for outcome in found if outcome.event_id.startswith(prefix))


async def not_ready_because(system: TestSystem, service: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(system.url(service) + "/readyz") as response:
        problems = (await response.json())["problems"]
        return "; ".join(problems.values())


async def test_a_ledger_put_back_to_a_moment_ago_adopts_what_had_been_published(system: TestSystem, tmp_path: Path) -> None:
    campaign = await open_campaign(system, "ledger")
    await send(system, campaign.requests(0, 200))
    await wait_decided(system, 200, campaign.id)
    said = await command(system, "backup", "redemption", str(tmp_path / "ledger"))
    assert "keys k1" in said
    await send(system, [*campaign.requests(200, 400), *reversals(campaign, range(100, 120))])
    before = await wait_decided(system, 420, campaign.id)
    full = await ledger(system, campaign)

    assert "stop its copies" in await command(system, "restore", "redemption", str(tmp_path / "ledger"), "--replace", status=1)
    system.stop("redemption-1")
    await poll_until(lambda: nobody_is_connected(system, "redemption"), 20)
    await command(system, "restore", "redemption", str(tmp_path / "ledger"), "--replace")
    assert sum((await ledger(system, campaign)).values()) == 200
    system.start("redemption")
    await poll_until(lambda: says_that(system, "redemption", "positions recover"), 60)
    assert "counterfoil positions recover" in await command(system, "positions", "show", "--json")
    await command(system, "positions", "recover")
    await system.ready("redemption")
    assert await ledger(system, campaign) == full

    again = [{**request, "event_id": f"again-{request['event_id']}"} for request in campaign.requests(200, 300)]
    await send(system, [*again, *campaign.requests(400, 500)])
    found = await wait_decided(system, 620, campaign.id)
    assert answers(found, "again-") == {"ALREADY_REDEEMED": 100}
    assert {o.redemption_id for o in before if o.redemption_id} <= {o.redemption_id for o in found}
    expected = net_by_store(found)
    assert sum(expected.values()) == 480
    assert await ledger(system, campaign) == expected
    await wait_ends_equal(system, campaign.id, expected)


@pytest.mark.parametrize("service", ["ranking", "reporting"])
async def test_boards_and_figures_put_back_fold_on_from_their_place(system: TestSystem, tmp_path: Path, service: str) -> None:
    campaign = await open_campaign(system, service)
    await send(system, campaign.requests(0, 200))
    await wait_decided(system, 200, campaign.id)
    await wait_ends_equal(system, campaign.id, net_by_store(await outcomes(system, campaign.id)))
    await command(system, "backup", service, str(tmp_path / "tables"))
    await send(system, [*campaign.requests(200, 400), *reversals(campaign, range(20))])
    expected = net_by_store(await wait_decided(system, 420, campaign.id))
    await wait_ends_equal(system, campaign.id, expected)

    await put_back(system, service, tmp_path / "tables")
    system.start(service)
    await system.ready(service)
    await wait_ends_equal(system, campaign.id, expected)


async def test_a_register_put_back_marks_its_codes_again(system: TestSystem, tmp_path: Path) -> None:
    campaign = await open_campaign(system, "register")
    await command(system, "backup", "codegen", str(tmp_path / "register"))
    await send(system, campaign.requests(0, 50))
    await wait_decided(system, 50, campaign.id)
    await put_back(system, "codegen", tmp_path / "register")
    system.start("codegen")
    await system.ready("codegen")

    await poll_until(lambda: has_state(system, campaign.codes[0][0], "redeemed"), 60)
    assert await state_of(system, campaign.codes[60][0]) == "issued"
    assert (await open_campaign(system, "after", each=5)).codes[0][0] not in {code for code, _ in campaign.codes}


async def test_what_was_made_after_the_registers_back_up_is_adopted_from_the_topics(system: TestSystem, tmp_path: Path) -> None:
    before = await open_campaign(system, "kept")
    await command(system, "backup", "codegen", str(tmp_path / "register"))
    lost = await open_campaign(system, "lost", stores=5, each=60)
    await system.call("PATCH", "codegen", f"/v1/campaigns/{before.id}", {"name": "renamed"})
    void = {"codes": [lost.codes[7][0]], "reason": "stolen"}
    await system.call("POST", "codegen", "/v1/voids", {**void, "confirm_outstanding": 1})
    await send(system, lost.requests(0, 10))
    await wait_decided(system, 10, lost.id)
    await put_back(system, "codegen", tmp_path / "register")
    assert "adopted 2 campaigns, 2 stores, 1 batches, 300 codes, 1 voids, 0 tokens" in await command(system, "batch", "adopt")
    assert "adopted 0 campaigns, 0 stores, 0 batches, 0 codes" in await command(system, "batch", "adopt")
    system.start("codegen")
    await system.ready("codegen")

    exported = await system.call("GET", "codegen", f"/v1/batches/{await batch_of(system, lost.id)}/codes.csv?header=plain")
    assert [line.split(",")[0] for line in exported.split("\r\n")[1:] if line] == [code for code, _ in lost.codes]
    assert (await system.call("GET", "codegen", f"/v1/campaigns/{before.id}"))["name"] == "renamed"
    await poll_until(lambda: has_state(system, lost.codes[0][0], "redeemed"), 60)
    assert [await state_of(system, lost.codes[number][0]) for number in (7, 50)] == ["void", "issued"]
    new = await open_campaign(system, "new", each=5)
    assert not {code for code, _ in new.codes} & {code for code, _ in (*before.codes, *lost.codes)}
    await send(system, [*lost.requests(100, 110), *new.requests(0, 10)])
    assert answers(await wait_decided(system, 20, lost.id), "lost-10") == {"REDEEMED": 10}


async def test_a_codegen_that_is_started_before_adopting_gives_no_serial_away(system: TestSystem, tmp_path: Path) -> None:
    await command(system, "backup", "codegen", str(tmp_path / "register"))
    first = await open_campaign(system, "first", each=20)
    await put_back(system, "codegen", tmp_path / "register")
    system.start("codegen")
    await poll_until(lambda: says_that(system, "codegen", "counterfoil batch adopt"), 60)
    with pytest.raises(AssertionError, match=r"409.*batch adopt"):
        await open_campaign(system, "second", each=20)
    assert f"1 batches, {len(first.codes)} codes" in await command(system, "batch", "adopt")
    await system.ready("codegen")
    third = await open_campaign(system, "third", each=20)
    assert not {code for code, _ in first.codes} & {code for code, _ in third.codes}


async def test_serials_that_were_given_away_twice_are_named_and_nothing_is_adopted(system: TestSystem) -> None:
    """As an older version did that was started on tables that were behind."""
    campaign = await open_campaign(system, "twice", each=20)
    batch_id = await batch_of(system, campaign.id)
    async with LogInspector(system.kafka) as log:
        announced = [r.value for p in await log.ends(BATCHES.name) async for r in log.read(BATCHES.name, p, 0) if r.value]
    theirs = msgspec.structs.replace(next(b for b in map(decoder(Batch), announced) if b.id == batch_id), id="b-theirs")
    async with Publisher(system.kafka) as publisher:
        await publisher.send(BATCHES.name, b"b-theirs", encode(theirs))
    said = await command(system, "batch", "adopt", status=1)
    assert "have serials in common" in said
    assert {batch_id, "b-theirs"} <= set(said.split())


async def put_back(system: TestSystem, service: str, file: Path) -> None:
    """Stops the only copy of a service and restores its schema."""
    system.stop(f"{service}-1")
    await poll_until(lambda: nobody_is_connected(system, service), 20)
    await command(system, "restore", service, str(file), "--replace")


async def batch_of(system: TestSystem, campaign_id: str) -> str:
    (batch,) = (await system.call("GET", "codegen", f"/v1/batches?campaign_id={campaign_id}"))["items"]
    return str(batch["id"])


async def state_of(system: TestSystem, code: str) -> str:
    return str((await system.call("GET", "codegen", f"/v1/codes/{code}"))["state"])


async def has_state(system: TestSystem, code: str, state: str) -> bool:
    return await state_of(system, code) == state


async def test_a_restore_that_fails_changes_nothing(system: TestSystem, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    await command(system, "backup", "reporting", str(whole))
    assert "there already" in await command(system, "backup", "reporting", str(whole), status=1)
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    system.stop("reporting-1")
    await poll_until(lambda: nobody_is_connected(system, "reporting"), 20)
    assert "say --replace" in await command(system, "restore", "reporting", str(whole), status=1)
    assert "not of ranking" in await command(system, "restore", "ranking", str(whole), "--replace", status=1)
    await command(system, "restore", "reporting", str(torn), "--replace", status=1)
    await command(system, "migrate", "reporting")
    system.start("reporting")
    await system.ready("reporting")


def reversals(campaign: SmallCampaign, numbers: range) -> list[dict[str, Any]]:
    return [
        {
            "type": "reverse",
            "event_id": f"r-{campaign.id}-{number}",
            "platform": "zork",
            "code": campaign.codes[number][0],
            "reverses": f"{campaign.id}-{number}",
            "reason": "mistake",
            "occurred_at": campaign.requests(number, number + 1)[0]["occurred_at"],
        }
        for number in numbers
    ]


async def nobody_is_connected(system: TestSystem, service: str) -> bool:
    connection = await asyncpg.connect(system.environment[f"{service.upper()}_DATABASE_URL"])
    try:
        others = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = current_user AND datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
        return bool(others == 0)
    finally:
        await connection.close()


async def says_that(system: TestSystem, service: str, words: str) -> bool:
    """Whether a service is not ready for this reason."""
    try:
        return words in await not_ready_because(system, service)
    except aiohttp.ClientConnectionError:
        return False
