"""What ranking publishes for others: rank changes, at most once a second and board."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from shared.contracts.codec import decoder
from shared.contracts.ranking import Standing
from shared.contracts.topics import STANDINGS
from shared.environment import KafkaConnection
from shared.kafka.inspecting import LogInspector
from tests.integration.ranking.system import Database, Topics, ranking, redeemed
from tests.support.polling import poll_until

decode = decoder(Standing)


async def published(kafka: KafkaConnection, board: str) -> list[Standing]:
    async with LogInspector(kafka) as log:
        found = [decode(record.value or b"") async for record in log.read(STANDINGS.name, 0, 0)]
    return [standing for standing in found if standing.board == board]


def last_ranks(standings: Sequence[Standing]) -> dict[str, int | None]:
    return {standing.store_id: standing.rank for standing in standings}


async def test_rank_changes_are_published_once_each(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    async with ranking(kafka, await database("ranking")):
        await topics.outcomes(0, [redeemed("s-1"), redeemed("s-1"), redeemed("s-2"), redeemed("s-hidden")])

        async def until(ranks: dict[str, int | None]) -> list[Standing]:
            async def reached() -> list[Standing]:
                found = await published(kafka, "all/all/count")
                return found if last_ranks(found) == ranks else []

            return await poll_until(reached, what=f"ranks {ranks}")

        first = await until({"s-1": 1, "s-2": 2})
        assert [standing.score for standing in first] == [2, 1]
        await topics.outcomes(0, [redeemed("s-2"), redeemed("s-2")])
        second = await until({"s-1": 2, "s-2": 1})
        assert max(Counter(standing.store_id for standing in second).values()) == 2
        assert all(a.revision <= b.revision for a, b in pairwise(second))
        boards = {f"{window}/all/{by}" for window in ("day", "week", "month", "all") for by in ("count", "rate")}
        for board in boards:
            assert await published(kafka, board), board
