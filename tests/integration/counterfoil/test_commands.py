"""The commands on a running system: what they do, print, and say when they cannot."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.counterfoil.conftest import CommandLine

pytestmark = pytest.mark.asyncio(loop_scope="session")

WINDOW = ("--starts", "2026-01-01", "--ends", "2036-01-01")


async def make_campaign(cli: CommandLine, campaign_id: str, *options: str) -> Any:
    return await cli.json("campaign", "create", campaign_id, *WINDOW, *options)


async def make_codes(cli: CommandLine, campaign_id: str, store: str, count: int) -> tuple[str, list[str]]:
    """A published batch's id and its codes."""
    (cli.folder / f"{store}.json").write_text(f'[{{"id": "{store}", "name": "Store {store}"}}]')
    await cli.done("stores", "put", f"{store}.json")
    ended = await cli.done("batch", "create", campaign_id, "--store", f"{store}={count}", "--publish", "--watch", "--json")
    assert ended.json["state"] == "published"
    assert "loaded" in ended.err
    await cli.done("batch", "export", ended.json["id"], "--out", f"{store}.csv")
    rows = (cli.folder / f"{store}.csv").read_text().splitlines()[2:]
    return ended.json["id"], [row.partition(",")[0] for row in rows]


async def test_a_campaign_is_made_paused_extended_and_archived(cli: CommandLine) -> None:
    made = await make_campaign(
        cli, "cycle", "--per-player", "none", "--per-store", "7", "--game", "zork", "--time-zone", "Europe/Rome"
    )
    assert made["limits"] == {"per_player": None, "per_store": 7, "total": None}
    assert (made["state"], made["games"], made["starts_at"]) == ("active", ["zork"], "2025-12-31T23:00:00Z")
    assert (await cli.json("campaign", "pause", "cycle"))["state"] == "paused"
    assert (await cli.json("campaign", "resume", "cycle"))["state"] == "active"
    extended = await cli.done("campaign", "extend", "cycle", "--ends", "2037-01-01T00:00:00Z")
    assert extended.out == "cycle: active, 2025-12-31T23:00:00Z to 2037-01-01T00:00:00Z\n"
    assert (await cli.json("campaign", "archive", "cycle"))["state"] == "archived"
    assert (await cli.json("campaign", "show", "cycle"))["archived"]
    assert "cycle" in (await cli.done("campaign", "list")).out


async def test_stores_are_put_from_csv_and_bad_rows_are_named(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "stores.csv"
    file.write_text("id,name,region\nput-1,Δρόμος,GR\nput-2,Kiosk,\n", encoding="utf-8")
    assert await cli.json("stores", "put", file) == {"created": 2, "updated": 0, "unchanged": 0}
    assert (await cli.done("stores", "put", file)).out == "0 created, 0 updated, 2 unchanged\n"
    assert {"put-1", "put-2"} <= {store["id"] for store in await cli.json("stores", "list")}
    file.write_text("id,name\nput-3,\nput-3,Twice\n")
    assert "row 1" in await cli.refused("stores", "put", file)


async def test_a_code_goes_from_the_batch_to_its_redemption_and_its_story_is_told(cli: CommandLine) -> None:
    await make_campaign(cli, "story")
    batch_id, codes = await make_codes(cli, "story", "story-1", 5)
    assert len(codes) == 5
    outcome = (await cli.done("redeem", codes[0].lower(), "--event-id", "story-e1")).json
    assert outcome["outcome"] == "REDEEMED"
    story = (await cli.done("code", codes[0])).out
    assert "redeemed" in story
    assert "story-e1" in story
    assert codes[0] not in story
    by_serial = await cli.json("code", "--serial", str(outcome["serial"]))
    assert (by_serial["batch_id"], by_serial["redemption"]["event_id"]) == (batch_id, "story-e1")
    assert (await cli.done("batch", "export", batch_id, "--out", "m.csv", "--manifest")).out.endswith(" bytes to m.csv\n")


async def test_a_batch_is_paused_and_one_that_is_not_published_cancelled(cli: CommandLine) -> None:
    await make_campaign(cli, "steps")
    batch_id, codes = await make_codes(cli, "steps", "steps-1", 2)
    assert "(paused)" in (await cli.done("batch", "pause", batch_id)).out
    assert (await cli.done("redeem", codes[0])).json["outcome"] == "CAMPAIGN_PAUSED"
    assert not (await cli.json("batch", "unpause", batch_id))["paused"]
    ready = await cli.json("batch", "create", "steps", "--store", "steps-1=3", "--watch")
    assert ready["state"] == "ready"
    assert (await cli.json("batch", "watch", ready["id"]))["state"] == "ready"
    assert (await cli.json("batch", "cancel", ready["id"]))["state"] == "cancelled"
    assert "only one that failed can be resumed" in await cli.refused("batch", "resume", ready["id"])
    assert "published cannot be cancelled" in await cli.refused("batch", "cancel", batch_id)
    assert {batch["id"] for batch in await cli.json("batch", "list", "--campaign", "steps")} == {batch_id, ready["id"]}


async def test_a_void_asks_for_its_count(cli: CommandLine) -> None:
    await make_campaign(cli, "voids")
    batch_id, codes = await make_codes(cli, "voids", "voids-1", 4)
    preview = await cli.json("void", "preview", "--batch", batch_id)
    assert (preview["outstanding"], preview["redeemed"]) == (4, 0)
    sentence = await cli.refused("void", "create", "--batch", batch_id, "--reason", "stolen")
    assert "--confirm-outstanding 4" in sentence
    assert "4 codes are outstanding now, not 9" in await cli.refused(
        "void", "create", "--batch", batch_id, "--reason", "stolen", "--confirm-outstanding", "9"
    )
    made = await cli.json("void", "create", "--batch", batch_id, "--reason", "stolen", "--confirm-outstanding", "4")
    assert made["outstanding"] == 4
    assert (await cli.done("redeem", codes[0])).json["outcome"] == "CODE_VOID"
    assert "stolen" in (await cli.done("void", "list")).out
    assert "say which codes" in await cli.refused("void", "preview")


async def test_a_token_is_shown_once_and_can_be_ended(cli: CommandLine) -> None:
    text = (await cli.done("token", "create", "for a test", "--scope", "platform:myst")).out.strip()
    assert text.startswith("cf_")
    (listed,) = [token for token in await cli.json("token", "list") if token["name"] == "for a test"]
    assert text not in str(listed)
    await cli.done("token", "revoke", listed["id"])
    assert "[401]" in await cli.refused("campaign", "list", ADMIN_TOKEN=text)


async def test_jobs_are_listed_and_run(cli: CommandLine) -> None:
    names = {job["name"] for job in await cli.json("jobs", "list")}
    assert {"rebuild-register-marks", "ranking-rebuild", "reporting.identity"} <= names
    assert "forgotten" in (await cli.done("jobs", "run", "rebuild-register-marks")).out
    assert (await cli.json("jobs", "run", "ranking-rebuild"))["differences"] == 0
    assert (await cli.json("jobs", "run", "reporting.facts-maintenance"))["state"] == "done"
    assert "there is no job nothing" in await cli.refused("jobs", "run", "nothing")


async def test_places_keys_and_dead_letters_are_told_to_people_and_to_scripts(cli: CommandLine) -> None:
    places = await cli.json("positions", "show")
    assert {"partition", "lag", "problem"} <= set(places[0])
    assert (await cli.done("positions", "show")).out.splitlines()[0].split() == [
        *("partition", "epoch", "position", "log", "lag", "committed", "problem")
    ]
    (key,) = await cli.json("keys", "list")
    assert (key["id"], key["newest"]) == ("k1", True)
    assert "new batches" in (await cli.done("keys", "list")).out
    assert (await cli.done("dead-letters", "list")).out.startswith("number")


async def test_a_certificate_that_is_not_there_is_a_sentence(cli: CommandLine) -> None:
    await make_campaign(cli, "certified")
    today = datetime.now(UTC).date().isoformat()
    assert "is certified" in await cli.refused("verify-certificate", "certified", "--date", today)


async def test_a_system_that_is_away_is_one_line_and_a_status(cli: CommandLine) -> None:
    nowhere = "http://127.0.0.1:9"
    assert "is the system up?" in await cli.refused("campaign", "list", CODEGEN_URL=nowhere)
    assert "[404]" in await cli.refused("campaign", "show", "nowhere")
    assert "XX" not in await cli.refused("code", "XX")
    assert "name the code" in await cli.refused("code")


async def test_the_schemas_whose_address_is_set_are_migrated(cli: CommandLine) -> None:
    unset = {f"{name}_DATABASE_URL": "" for name in ("CODEGEN", "REDEMPTION", "REPORTING")}
    assert (await cli.done("migrate", **unset)).out == "ranking: nothing to do\n"
    assert "RANKING_DATABASE_URL" in await cli.refused("migrate", "ranking", **unset, RANKING_DATABASE_URL="")
    assert "_DATABASE_URL is set" in await cli.refused("migrate", **unset, RANKING_DATABASE_URL="")


async def test_whatever_is_typed_the_refusal_is_one_line(cli: CommandLine) -> None:
    await make_campaign(cli, "typed")
    for count in ("s-1=²", "s-1=", "=5"):
        assert "is not STORE_ID=COUNT" in await cli.refused("batch", "create", "typed", "--store", count)
    for count in ("s-1=99999999999999999999999", "s-1=0"):
        assert "allotments.0.count" in await cli.refused("batch", "create", "typed", "--store", count)
    assert "There is no such batch" in await cli.refused("batch", "watch", "a b?c#d/e")
    assert "There is no such campaign" in await cli.refused("campaign", "show", "a/b?c")
    assert "is not a code" in await cli.refused("code", "\udcff")
    assert "is no address to reach codegen at" in await cli.refused("campaign", "list", CODEGEN_URL="nonsense")


async def test_of_a_thousand_bad_rows_the_first_are_named_and_the_others_counted(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "stores.csv"
    file.write_text("id,name\n" + "".join(f"bad-{number},\n" for number in range(1_000)))
    sentence = await cli.refused("stores", "put", file)
    assert "19.name: row 20:" in sentence
    assert "row 21:" not in sentence
    assert "; and 980 more" in sentence


async def test_a_file_that_cannot_be_written_is_no_system_that_is_away(cli: CommandLine, tmp_path: Path) -> None:
    await make_campaign(cli, "files")
    batch_id, _ = await make_codes(cli, "files", "files-1", 2)
    nowhere = tmp_path / "nowhere" / "codes.csv"
    sentence = await cli.refused("batch", "export", batch_id, "--out", nowhere)
    assert sentence == f"counterfoil: {nowhere}: No such file or directory\n"
    assert "No space left" in await cli.refused("batch", "export", batch_id, "--out", "/dev/full")


async def test_a_database_that_refuses_is_one_line(cli: CommandLine) -> None:
    url = cli.environment["CODEGEN_DATABASE_URL"]
    stranger = urlsplit(url)._replace(netloc=f"nobody:secret@{urlsplit(url).netloc.rpartition('@')[2]}").geturl()
    nowhere = urlsplit(url)._replace(path="/nowhere").geturl()
    for command in (("migrate", "codegen"), ("token", "bootstrap")):
        for address, why in ((stranger, "nobody"), (nowhere, '"nowhere" does not exist'), ("postgresql://u@h:port/x", "port")):
            assert why in await cli.refused(*command, CODEGEN_DATABASE_URL=address)
    empty = cli.environment["REDEMPTION_DATABASE_URL"]
    assert "run `counterfoil migrate`" in await cli.refused("token", "bootstrap", CODEGEN_DATABASE_URL=empty)


async def test_a_kafka_that_keeps_no_grants_is_said_to_keep_none_rather_than_to_be_away(cli: CommandLine) -> None:
    ended = await cli("topics", "--grants", "--platform", "platform-zork")
    assert (ended.status, ended.out, ended.err.count("\n")) == (1, "all topics were there\n", 1)
    assert "does not take the grant that" in ended.err
    assert "away" not in ended.err
