"""Closed windows: certified once, frozen, adjusted in the open, and recomputed from the outcomes."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from services.ranking import app
from services.ranking.app import CannotRecount, rebuild, verify_certificate
from shared.contracts.topics import REDEMPTION_GROUP, REQUESTS
from shared.environment import KafkaConnection
from shared.kafka.groups import PartitionGroup
from shared.kafka.inspecting import LogInspector
from shared.kafka.reading import PartitionReader
from tests.integration.ranking.system import (
    CAMPAIGN,
    ZONE,
    Database,
    Reader,
    Topics,
    ranking,
    ranking_settings,
    redeemed,
    reversed_at,
    until_folded,
    until_scores,
)
from tests.support.polling import poll_until

AT_ONCE = {"RANKING_LATE_HOURS": "0", "RANKING_CERTIFY_SECONDS": "0.2"}
CERTIFICATES = f"/v1/campaigns/{CAMPAIGN}/certificates"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
DAY = YESTERDAY.astimezone(ZoneInfo(ZONE)).date()
FIRST_DAY = (YESTERDAY - timedelta(days=39)).astimezone(ZoneInfo(ZONE)).date()
"""The campaign began forty days ago: with a change of the clocks in between, on either of two days of its zone."""


async def certificate(reader: Reader, **parameters: Any) -> Any:
    """The certificate, once it is there."""

    async def made() -> Any:
        status, body = await reader.get(CERTIFICATES, **parameters)
        return body if status == 200 else None

    return await poll_until(made, what="a certificate")


def hash_of(body: Any) -> str:
    """The hash as anybody would compute it from the answer."""
    source = [[part["partition"], part["offset"]] for part in body["source"]]
    head = [body["campaign_id"], body["window"], body["date"], body["last_date"], body["time_zone"], source]
    names = (
        "position", "rank", "store_id", "store_name", "chain", "region", "peer_group", "redemptions", "reversals", "reached_at",
        "issued",
    )  # fmt: skip
    lines = [head, *([row[name] for name in names] for row in body["rows"])]
    text = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in lines)
    return hashlib.sha256(text.encode()).hexdigest()


async def test_a_closed_day_is_certified_with_a_hash_that_anybody_can_compute(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    await topics.outcomes(0, [redeemed("s-1", YESTERDAY), redeemed("s-2", YESTERDAY), redeemed("s-hidden", YESTERDAY)])
    await topics.outcomes(1, [redeemed("s-2", YESTERDAY), redeemed("s-2")])
    async with ranking(kafka, await database("ranking"), **AT_ONCE) as reader:
        body = await certificate(reader, window="day", date=DAY.isoformat())
        assert [(row["store_id"], row["rank"], row["score"]) for row in body["rows"]] == [("s-2", 1, 2), ("s-1", 2, 1)]
        assert (body["total"], body["adjustments"], body["hash"]) == (2, [], hash_of(body))
        assert {part["partition"]: part["offset"] for part in body["source"]} == {0: 3, 1: 2}
        board = await reader.leaderboard(window="day", date=DAY.isoformat())
        assert (board["certified"], [row["score"] for row in board["rows"]]) == (True, [2, 1])
        assert not (await reader.leaderboard(window="day"))["certified"]
        absent = await reader.standing("s-3", window="day", date=DAY.isoformat())
        assert (absent["rank"], absent["score"], absent["store_name"]) == (None, 0, "متجر")


async def test_what_comes_after_a_certificate_is_an_adjustment(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    first = redeemed("s-1", YESTERDAY)
    await topics.outcomes(0, [first, redeemed("s-2", YESTERDAY), redeemed("s-2", YESTERDAY)])
    async with ranking(kafka, await database("ranking"), **AT_ONCE) as reader:
        before = await certificate(reader, window="day", date=DAY.isoformat())
        frozen = await reader.leaderboard(window="day", date=DAY.isoformat())
        assert (frozen["certified"], frozen["adjustments"]) == (True, [])
        await topics.outcomes(1, [reversed_at(first), *(redeemed("s-3", YESTERDAY) for _ in range(5))])
        await until_scores(reader, {"s-3": 5, "s-2": 2}, window="all")
        after = await certificate(reader, window="day", date=DAY.isoformat())
        assert [(a["store_id"], a["certified_score"], a["score"], a["difference"]) for a in after["adjustments"]] == [
            ("s-1", 1, 0, -1),
            ("s-3", 0, 5, 5),
        ]
        assert (after["rows"], after["hash"]) == (before["rows"], before["hash"])
        board = await reader.leaderboard(window="day", date=DAY.isoformat())
        assert {row["store_id"]: row["score"] for row in board["rows"]} == {"s-2": 2, "s-1": 1}
        assert (board["adjustments"], board["version"] == frozen["version"]) == (after["adjustments"], False)


async def test_the_list_holds_every_closed_window_and_survives_a_restart(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    url = await database("ranking")
    await topics.outcomes(0, [redeemed("s-1", YESTERDAY)])
    async with ranking(kafka, url, **AT_ONCE) as reader:
        await certificate(reader, window="day", date=DAY.isoformat())
    async with ranking(kafka, url, **AT_ONCE) as reader:
        _, listed = await reader.get(CERTIFICATES, limit=1000)
        days = [one["date"] for one in listed["items"] if one["window"] == "day"]
        assert days == sorted(days, reverse=True)
        assert days[0] == DAY.isoformat()
        assert len(days) == (DAY - FIRST_DAY).days + 1
        assert {one["window"] for one in listed["items"]} == {"day", "week", "month"}
        assert (await reader.leaderboard(window="day", date=DAY.isoformat()))["certified"]
        _, page = await reader.get(CERTIFICATES, limit=2)
        _, second = await reader.get(CERTIFICATES, limit=2, cursor=page["next_cursor"])
        assert [*page["items"], *second["items"]] == listed["items"][:4]


async def test_a_campaign_that_is_over_is_certified_as_a_whole(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    now = datetime.now(UTC)
    await topics.campaign(starts_at=now - timedelta(days=5), ends_at=now - timedelta(days=2))
    await topics.outcomes(0, [redeemed("s-1", now - timedelta(days=3))])
    async with ranking(kafka, await database("ranking"), **AT_ONCE) as reader:
        await certificate(reader, window="all")

        async def is_certified() -> bool:
            return bool((await reader.leaderboard(window="all"))["certified"])

        await poll_until(is_certified, what="the whole campaign's board")
        await topics.outcomes(1, [redeemed("s-2", now - timedelta(days=3))])
        await until_scores(reader, {"s-1": 1}, window="all")
        body = await certificate(reader, window="all")
        adjusted = poll_until(lambda: adjustments(reader), what="the adjustment")
        assert (await adjusted, len(body["rows"])) == ([("s-2", 1)], 1)


async def adjustments(reader: Reader) -> list[tuple[str, int]]:
    _, body = await reader.get(CERTIFICATES, window="all")
    return [(one["store_id"], one["difference"]) for one in body["adjustments"]]


async def test_an_open_window_is_not_certified(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    await topics.outcomes(0, [redeemed("s-1"), redeemed("s-1", YESTERDAY)])
    async with ranking(kafka, await database("ranking"), RANKING_CERTIFY_SECONDS="0.2") as reader:
        far = (DAY - timedelta(days=3)).isoformat()
        await certificate(reader, window="day", date=far)
        for day in (DAY, DAY + timedelta(days=1)):
            status, _ = await reader.get(CERTIFICATES, window="day", date=day.isoformat())
            assert status == 404


async def test_certification_waits_until_redemption_has_answered_every_request(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    partition, _ = await topics.publisher.send(REQUESTS.name, b"k", b"a request that nobody has decided yet")
    await topics.outcomes(0, [redeemed("s-1", YESTERDAY)])
    url = await database("ranking")
    async with ranking(kafka, url, **AT_ONCE, RANKING_FOLD_SECONDS="0.05") as reader:
        await until_folded(url, {"s-1": 1})
        async with LogInspector(kafka) as log:
            moment = datetime.now(UTC) + timedelta(hours=1)
            wanted = await log.offsets_for_time(REQUESTS.name, int(moment.timestamp() * 1000))
        assert wanted[partition] == 1
        later = (datetime.now(ZoneInfo(ZONE)).date()).isoformat()
        status, _ = await reader.get(CERTIFICATES, window="day", date=later)
        assert status == 404
        await commit_all(kafka)
        await certificate(reader, window="day", date=DAY.isoformat())


async def commit_all(kafka: KafkaConnection) -> None:
    """Commits the ends as redemption would after it has published."""
    committed: list[int] = []

    async def commit(reader: PartitionReader) -> None:
        _, end = await reader.bounds()
        reader.commit(end)
        committed.append(reader.partition)
        await reader.pause(60)

    group = PartitionGroup(kafka, topic=REQUESTS.name, group=REDEMPTION_GROUP, run_partition=commit)
    task = asyncio.create_task(group.run())
    await poll_until(lambda: len(committed) == 2, what="the commits")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_certificate_is_recomputed_from_the_outcomes(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    url = await database("ranking")
    old = redeemed("s-1", YESTERDAY)
    await topics.outcomes(0, [old, redeemed("s-2", YESTERDAY), redeemed("s-1", YESTERDAY)])
    await topics.outcomes(1, [reversed_at(old), redeemed("s-hidden", YESTERDAY)])
    async with ranking(kafka, url, **AT_ONCE) as reader:
        body = await certificate(reader, window="day", date=DAY.isoformat())
        await topics.outcomes(1, [redeemed("s-3", YESTERDAY)])
        await until_scores(reader, {"s-1": 1, "s-2": 1, "s-3": 1}, window="all")
    settings = ranking_settings(kafka, url)
    found = await verify_certificate(settings, CAMPAIGN, "day", DAY)
    assert (found.holds, found.recomputed_hash, found.outcomes_read) == (True, body["hash"], 5)
    await execute(url, "UPDATE certified_scores SET redemptions = redemptions + 1 WHERE store_id = 's-2' AND kind = 'day'")
    found = await verify_certificate(settings, CAMPAIGN, "day", DAY)
    assert not found.holds
    assert any("s-2" in problem for problem in found.problems)
    with pytest.raises(CannotRecount, match="no month"):
        await verify_certificate(settings, CAMPAIGN, "month", DAY + timedelta(days=90))


async def test_counting_again_without_kafka_says_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "KAFKA_SECONDS", 1.0)
    settings = ranking_settings(KafkaConnection(bootstrap_servers="127.0.0.1:1"), await database("ranking"))
    with pytest.raises(CannotRecount, match=r"Kafka at 127\.0\.0\.1:1 does not answer"):
        await verify_certificate(settings, CAMPAIGN, "day", DAY)


async def test_a_rebuild_finds_and_mends_wrong_scores_while_the_service_runs(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    url = await database("ranking")
    await topics.outcomes(0, [redeemed("s-1"), redeemed("s-2"), redeemed("s-2")])
    settings = ranking_settings(kafka, url)
    async with ranking(kafka, url) as reader:
        await until_folded(url, {"s-1": 1, "s-2": 2})
        right = await rebuild(settings)
        assert (right.differences, right.swapped, right.rows, right.outcomes_read) == (0, False, 2, 3)
        await execute(url, "UPDATE scores SET redemptions = 90 WHERE store_id = 's-1'")
        await execute(url, "DELETE FROM scores WHERE store_id = 's-2'")
    async with ranking(kafka, url) as reader:
        assert await reader.scores() == {"s-1": 90}
        await topics.outcomes(1, [redeemed("s-3")])
        await until_folded(url, {"s-1": 90, "s-3": 1})
        mended = await rebuild(settings)
        assert (mended.differences, mended.swapped) == (2, True)
        assert {one.store_id for one in mended.examples} == {"s-1", "s-2"}
        await until_scores(reader, {"s-1": 1, "s-2": 2, "s-3": 1})
        await topics.outcomes(0, [redeemed("s-1")])
        await until_scores(reader, {"s-1": 2, "s-2": 2, "s-3": 1})
        await until_folded(url, {"s-1": 2, "s-2": 2, "s-3": 1})


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
