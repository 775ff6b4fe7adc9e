"""A store's standing, ranks of a list of stores, and who may see what."""

import aiohttp
import pytest

from shared.environment import KafkaConnection
from tests.integration.ranking.system import CAMPAIGN, Database, Topics, ranking, redeemed, until_scores, until_total

STANDINGS = f"/v1/campaigns/{CAMPAIGN}/standings"


async def test_a_standing_tells_rank_gap_percentile_best_and_neighbours(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    await topics.outcomes(0, [redeemed("s-1"), redeemed("s-1"), redeemed("s-1"), redeemed("s-2"), redeemed("s-hidden")])
    async with ranking(kafka, await database("ranking")) as reader:
        second = await reader.standing("s-2", window="day")
        assert {
            name: second[name] for name in ("store_id", "rank", "position", "score", "total", "gap_to_next", "best_rank")
        } == {
            "store_id": "s-2",
            "rank": 2,
            "position": 2,
            "score": 1,
            "total": 2,
            "gap_to_next": 2,
            "best_rank": 2,
        }
        assert second["percentile"] == 50
        assert [row["store_id"] for row in second["rows"]] == ["s-1", "s-2"]
        assert {"as_of", "lag_seconds", "version", "movement", "window", "period"} <= set(second)
        assert (await reader.standing("s-1"))["gap_to_next"] is None
        assert [row["store_id"] for row in (await reader.standing("s-2", around=0))["rows"]] == ["s-2"]


async def test_a_standing_that_is_known_is_not_sent_again(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    path = f"/v1/campaigns/{CAMPAIGN}/stores/s-2/standing"
    await topics.outcomes(0, [redeemed("s-1"), redeemed("s-1"), redeemed("s-2")])
    async with ranking(kafka, await database("ranking")) as reader:
        await until_total(reader, 2)
        _, first, headers = await reader.get_with_headers(path)
        known = {"If-None-Match": headers["ETag"]}
        assert (await reader.get_with_headers(path, headers=known))[0] == 304
        assert (await reader.standing("s-2"))["as_of"] > first["as_of"]
        await topics.outcomes(0, [redeemed("s-1")])
        await until_scores(reader, {"s-1": 3, "s-2": 1})
        status, later, _ = await reader.get_with_headers(path, headers=known)
        assert (status, later["gap_to_next"]) == (200, 2)


@pytest.mark.parametrize("store_id", ["s-3", "s-hidden"])
async def test_a_store_without_a_score_or_hidden_is_unranked(
    kafka: KafkaConnection, database: Database, topics: Topics, store_id: str
) -> None:
    await topics.outcomes(0, [redeemed("s-1"), redeemed("s-hidden")])
    async with ranking(kafka, await database("ranking")) as reader:
        found = await reader.standing(store_id)
        assert (found["rank"], found["position"], found["percentile"], found["best_rank"]) == (None, None, None, None)
        assert found["gap_to_next"] == (1 if store_id == "s-3" else None)


async def test_ranks_of_a_list_of_stores_come_in_its_order(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    await topics.outcomes(0, [redeemed("s-1"), redeemed("s-1"), redeemed("s-2")])
    async with ranking(kafka, await database("ranking")) as reader:
        await until_total(reader, 2)
        headers = {"Authorization": "Bearer t-reports"}
        body = {"store_ids": ["s-3", "s-2", "s-1"]}
        async with reader.session.post(reader.url + STANDINGS, json=body, headers=headers, params={"window": "day"}) as answer:
            found = await answer.json()
        assert answer.status == 200
        assert [(row["store_id"], row["rank"], row["gap_to_next"]) for row in found["standings"]] == [
            ("s-3", None, 1),
            ("s-2", 2, 1),
            ("s-1", 1, None),
        ]
        wrong_lists: list[dict[str, list[str]]] = [
            {"store_ids": ["nobody"]},
            {"store_ids": []},
            {"stores": ["s-1"]},
            {"store_ids": ["s-1"] * 1001},
        ]
        for wrong in wrong_lists:
            async with reader.session.post(reader.url + STANDINGS, json=wrong, headers=headers) as answer:
                assert answer.status == 422, wrong
        async with reader.session.post(reader.url + STANDINGS, data="{", headers=headers) as answer:
            assert answer.status == 400


async def test_a_token_sees_the_boards_and_its_own_stores(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    await topics.outcomes(0, [redeemed("s-1"), redeemed("s-2"), redeemed("s-3")])
    may_see = {"t-reports": {"s-1", "s-2", "s-3"}, "t-store": {"s-1"}, "t-chain": {"s-1", "s-2"}, "t-platform": set()}
    async with ranking(kafka, await database("ranking")) as reader:
        for token, stores in may_see.items():
            status, _ = await reader.get(f"/v1/campaigns/{CAMPAIGN}/leaderboard", token=token)
            assert status == (404 if token == "t-platform" else 200)
            for store in ("s-1", "s-2", "s-3"):
                status, _ = await reader.get(f"/v1/campaigns/{CAMPAIGN}/stores/{store}/standing", token=token)
                assert status == (200 if store in stores else 404), (token, store)
        headers = {"Authorization": "Bearer t-store"}
        for ids, wanted in ((["s-1"], 200), (["s-1", "s-2"], 422)):
            async with reader.session.post(reader.url + STANDINGS, json={"store_ids": ids}, headers=headers) as answer:
                assert answer.status == wanted


async def test_without_a_known_token_nothing_is_told(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    async with ranking(kafka, await database("ranking")) as reader:
        status, _ = await reader.get(f"/v1/campaigns/{CAMPAIGN}/leaderboard", token="t-nobody")
        assert status == 401
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{reader.url}/v1/campaigns/{CAMPAIGN}/leaderboard") as answer,
        ):
            assert answer.status == 401
            assert answer.content_type == "application/problem+json"
