"""The leaderboard over HTTP, from outcomes on a real topic."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from shared.contracts.codegen import BatchState
from shared.environment import KafkaConnection
from tests.integration.ranking.system import (
    ZONE,
    Database,
    Reader,
    Topics,
    ranking,
    redeemed,
    reversed_at,
    until_folded,
    until_scores,
    until_total,
)
from tests.support.polling import poll_until


async def test_a_row_says_all_that_the_contract_promises(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    await topics.outcomes(0, [redeemed("s-2", yesterday)])
    await topics.outcomes(1, [redeemed("s-1"), redeemed("s-1"), redeemed("s-2"), redeemed("s-hidden"), redeemed("s-test")])
    async with ranking(kafka, await database("ranking")) as reader:
        board = await reader.leaderboard(window="day")
        assert set(board) == {
            "campaign_id", "window", "period", "scope", "by", "as_of", "lag_seconds", "version", "total", "certified", "rows"
        }  # fmt: skip
        assert (board["campaign_id"], board["window"], board["scope"], board["by"]) == ("spring", "day", "all", "count")
        assert (board["total"], board["certified"]) == (2, False)
        first, second = board["rows"]
        assert first == {
            "position": 1, "rank": 1, "store_id": "s-1", "store_name": "Main Street", "chain": "playtime", "region": "US-NY",
            "score": 2, "share": 2 / 3, "rate": None, "movement": {"from": None, "change": None},
        }  # fmt: skip
        assert second["movement"] == {"from": 1, "change": -1}
        assert board["lag_seconds"] < 5
        midnight = datetime.combine(datetime.now(ZoneInfo(ZONE)).date(), datetime.min.time(), tzinfo=ZoneInfo(ZONE))
        assert datetime.fromisoformat(board["period"]["starts_at"]) == midnight


async def test_every_window_scope_and_measure_can_be_asked_for(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    today = datetime.now(ZoneInfo(ZONE)).date()
    noon = datetime(today.year, today.month, today.day, 12, tzinfo=ZoneInfo(ZONE))
    noons = [(noon - timedelta(days=days)).astimezone(UTC) for days in range(1, 40)]
    await topics.outcomes(0, [redeemed("s-1", at) for at in (datetime.now(UTC), *noons)])
    await topics.outcomes(1, [redeemed("s-2"), redeemed("s-2"), redeemed("s-3")])
    async with ranking(kafka, await database("ranking")) as reader:
        assert await reader.scores(window="all") == {"s-1": 40, "s-2": 2, "s-3": 1}
        assert await reader.scores(window="day") == {"s-2": 2, "s-1": 1, "s-3": 1}
        assert (await reader.scores(window="week"))["s-1"] == today.isoweekday()
        assert (await reader.scores(window="month"))["s-1"] == today.day
        long_ago = (today - timedelta(days=20)).isoformat()
        assert await reader.scores(window="day", date=long_ago) == {"s-1": 1}
        assert await reader.scores(window="week", date=long_ago) == {"s-1": 7}
        assert await reader.scores(window="all", scope="region:US-NY") == {"s-1": 40, "s-3": 1}
        assert await reader.scores(window="all", scope="chain:playtime") == {"s-1": 40, "s-2": 2}
        assert await reader.scores(window="all", scope="peer:mall") == {"s-2": 2, "s-3": 1}
        by_rate = (await reader.leaderboard(window="all", by="rate"))["rows"]
        assert [(row["store_id"], row["rate"]) for row in by_rate] == [("s-1", 0.4), ("s-2", 2 / 250)]


async def test_pages_are_cut_by_offset_and_limit(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    await topics.outcomes(
        0, [redeemed("s-1"), redeemed("s-1"), redeemed("s-1"), redeemed("s-2"), redeemed("s-2"), redeemed("s-3")]
    )
    async with ranking(kafka, await database("ranking")) as reader:
        page = await reader.leaderboard(offset=1, limit=1)
        assert [row["store_id"] for row in page["rows"]] == ["s-2"]
        assert page["total"] == 3
        assert (await reader.leaderboard(offset=99))["rows"] == []


async def test_a_new_outcome_is_seen_well_within_a_second(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    async with ranking(kafka, await database("ranking")) as reader:
        for wanted in range(1, 6):
            await topics.outcomes(0, [redeemed("s-1")])
            published = time.monotonic()
            await until_scores(reader, {"s-1": wanted})
            assert time.monotonic() - published < 0.9


async def test_repeats_rejections_and_duplicates_change_nothing(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    url = await database("ranking")
    async with ranking(kafka, url) as reader:
        first = await topics.outcomes(0, [redeemed("s-1"), redeemed("s-2")])
        second = await topics.outcomes(0, [redeemed("s-1")])
        await topics.again(0, [*first, *second])
        await topics.again(0, second)
        await topics.rejection(0)
        await topics.duplicate(0)
        await topics.outcomes(0, [redeemed("s-3")])
        await until_scores(reader, {"s-1": 2, "s-2": 1, "s-3": 1})
        await until_folded(url, {"s-1": 2, "s-2": 1, "s-3": 1})
    async with ranking(kafka, url) as reader:
        assert await reader.scores() == {"s-1": 2, "s-2": 1, "s-3": 1}


async def test_a_reversal_counts_on_the_day_of_its_redemption(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    now = datetime.now(UTC)
    old = redeemed("s-1", now - timedelta(days=3))
    async with ranking(kafka, await database("ranking")) as reader:
        await topics.outcomes(1, [reversed_at(old), redeemed("s-1", now - timedelta(days=3))])
        await topics.outcomes(0, [old, redeemed("s-2")])
        await until_total(reader, 2)
        day = (now - timedelta(days=3)).astimezone(ZoneInfo(ZONE)).date().isoformat()
        await until_scores(reader, {"s-1": 1}, window="day", date=day)
        assert await reader.scores(window="day") == {"s-2": 1}


async def test_outcomes_wait_for_a_campaign_that_is_not_known_yet(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    url = await database("ranking")
    async with ranking(kafka, url) as reader:
        await topics.outcomes(0, [redeemed("s-1")], campaign_id="summer")
        await topics.outcomes(0, [redeemed("s-2")])
        status, _ = await reader.get("/v1/campaigns/summer/leaderboard")
        assert status == 404
        await topics.campaign(id="summer", time_zone="Asia/Tokyo")
        await poll_until(lambda: summer_score(reader), what="the summer campaign's board")
        await until_folded(url, {"s-1": 1, "s-2": 1})


async def summer_score(reader: Reader) -> bool:
    status, body = await reader.get("/v1/campaigns/summer/leaderboard")
    return bool(status == 200 and [row["store_id"] for row in body["rows"]] == ["s-1"])


async def test_codes_that_are_not_published_do_not_count_as_issued(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    await topics.outcomes(0, [redeemed("s-3")])
    async with ranking(kafka, await database("ranking")) as reader:
        await topics.batch({"s-3": 500}, batch_id="b-2", state=BatchState.READY)
        await until_total(reader, 1)
        assert (await reader.leaderboard(by="rate"))["total"] == 0
        await topics.batch({"s-3": 1}, batch_id="b-2")
        await until_total(reader, 1, by="rate")


async def test_a_version_that_is_known_is_not_sent_again(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    path = "/v1/campaigns/spring/leaderboard"
    await topics.outcomes(0, [redeemed("s-1")])
    async with ranking(kafka, await database("ranking")) as reader:
        _, body, headers = await reader.get_with_headers(path)
        assert body["version"] in headers["ETag"]
        status, _, _ = await reader.get_with_headers(path, headers={"If-None-Match": headers["ETag"]})
        assert status == 304
        await topics.outcomes(0, [redeemed("s-1")])
        await until_scores(reader, {"s-1": 2})
        status, _, changed = await reader.get_with_headers(path, headers={"If-None-Match": headers["ETag"]})
        assert (status, changed["ETag"] != headers["ETag"]) == (200, True)


async def test_two_copies_say_the_same_of_the_same_outcomes(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    url = await database("ranking")
    async with ranking(kafka, url) as one, ranking(kafka, url) as other:
        for partition in (0, 1):
            await topics.outcomes(partition, [redeemed(f"s-{1 + n % 3}") for n in range(50)])
        for reader in (one, other):
            await until_scores(reader, {"s-1": 34, "s-2": 34, "s-3": 32})
        for parameters in ({}, {"by": "rate"}, {"window": "day"}, {"scope": "region:US-NY"}):
            first, second = await one.leaderboard(**parameters), await other.leaderboard(**parameters)
            assert first["version"] == second["version"]
            assert first["rows"] == second["rows"]
        await until_folded(url, {"s-1": 34, "s-2": 34, "s-3": 32})


WRONG_QUESTIONS = [
    ("/v1/campaigns/nowhere/leaderboard", {}, 404, "campaign"),
    ("/v1/campaigns/spring/stores/nobody/standing", {}, 404, "store"),
    ("/v1/campaigns/spring/leaderboard", {"window": "year"}, 422, "window"),
    ("/v1/campaigns/spring/leaderboard", {"limit": "1000000"}, 422, "limit"),
    ("/v1/campaigns/spring/leaderboard", {"limit": "0"}, 422, "limit"),
    ("/v1/campaigns/spring/leaderboard", {"offset": "-1"}, 422, "offset"),
    ("/v1/campaigns/spring/leaderboard", {"scope": "planet:earth"}, 422, "scope"),
    ("/v1/campaigns/spring/leaderboard", {"scope": "region:Nowhere"}, 422, "scope"),
    ("/v1/campaigns/spring/leaderboard", {"by": "luck"}, 422, "by"),
    ("/v1/campaigns/spring/leaderboard", {"date": "someday"}, 422, "date"),
    ("/v1/campaigns/spring/leaderboard", {"date": "2026-02-30"}, 422, "date"),
    ("/v1/campaigns/spring/leaderboard", {"date": "2999-01-01"}, 422, "future"),
    ("/v1/campaigns/spring/leaderboard", {"date": "0001-01-01"}, 422, "1970"),
    ("/v1/campaigns/spring/leaderboard", {"date": "1999-01-01"}, 422, "before the campaign"),
    ("/v1/campaigns/spring/leaderboard/live", {"date": "2999-01-01"}, 422, "future"),
    ("/v1/campaigns/spring/stores/s-1/standing", {"date": "2999-01-01"}, 422, "future"),
    ("/v1/campaigns/spring/stores", {"search": "s", "limit": "1000000"}, 422, "limit"),
    ("/v1/campaigns/spring/certificates", {"limit": "1000000"}, 422, "limit"),
    ("/v1/campaigns/spring/certificates", {"date": "2999-01-01", "window": "day"}, 422, "future"),
    ("/v1/campaigns/spring/certificates", {"date": "2026-11-01"}, 422, "means a window"),
    ("/v1/campaigns/spring/certificates", {"date": "2020-01-01", "window": "day"}, 404, "certificate"),
    ("/v1/campaigns/spring/nothing", {}, 404, "address"),
    ("/v1/campaigns/spring/leaderboard", {"date": "9999-12-31", "window": "week"}, 422, "9998"),
    ("/v1/campaigns/spring/certificates", {"date": "0001-01-01", "window": "week"}, 422, "1970"),
    ("/v1/campaigns/spring/leaderboard", {"sort": "name"}, 422, "sort"),
    ("/v1/campaigns/spring/leaderboard/live", {"window": "year"}, 422, "window"),
    ("/v1/campaigns/spring/stores/s-1/standing", {"around": "5000"}, 422, "around"),
]


async def test_a_question_that_is_wrong_is_told_why(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    async with ranking(kafka, await database("ranking")) as reader:
        for path, parameters, status, said in WRONG_QUESTIONS:
            found, body = await reader.get(path, **parameters)
            assert (found, said in str(body)) == (status, True), (path, parameters, body)


async def test_a_portals_page_may_ask_before_it_reads(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    async with ranking(kafka, await database("ranking"), RANKING_CORS_ORIGINS="https://portal.example") as reader:
        for path, origin, status, methods in (
            ("/v1/campaigns/spring/leaderboard", "https://portal.example", 204, "GET, POST"),
            ("/v1/campaigns/spring/standings", "https://portal.example", 204, "GET, POST"),
            ("/v1/campaigns/spring/leaderboard", "https://elsewhere.example", 204, None),
            ("/v1/campaigns/spring/nothing", "https://portal.example", 404, None),
        ):
            async with reader.session.options(reader.url + path, headers={"Origin": origin}) as response:
                assert (response.status, response.headers.get("Access-Control-Allow-Methods")) == (status, methods), path
