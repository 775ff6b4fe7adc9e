"""Random histories on real servers, with restarts, give the boards of a plain recomputation."""

import asyncio
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.kafka.publishing import Publisher
from tests.integration.ranking.system import ZONE, Topics, ranking, redeemed, reversed_at, until_folded
from tests.support.databases import Databases
from tests.support.polling import poll_until
from tests.support.topics import own_topics
from tests.unit.ranking.plain import Counted, PlainCampaign, PlainStore, window_days

IDS = ("s-1", "s-2", "s-3", "s-4")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("redeem"), st.sampled_from(IDS), st.integers(0, 8 * 24 * 60)),
        st.tuples(st.just("redeem"), st.sampled_from(IDS), st.integers(0, 8 * 24 * 60)),
        st.tuples(st.just("reverse"), st.integers(0, 1_000), st.integers(0, 8 * 24 * 60)),
        st.tuples(st.just("again"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("hide"), st.sampled_from(IDS), st.booleans()),
        st.tuples(st.just("move"), st.sampled_from(IDS), st.sampled_from(["r-1", "r-2"])),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
    ),
    min_size=20,
    max_size=80,
)


@settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True)
@given(steps=STEPS, chance=st.randoms(use_true_random=False))
def test_any_history_gives_the_boards_of_a_recomputation(
    kafka_server: str, databases: Databases, steps: list[tuple[str, Any, Any]], chance: random.Random
) -> None:
    asyncio.run(play(kafka_server, databases, steps, chance))


async def play(kafka_server: str, databases: Databases, steps: list[tuple[str, Any, Any]], chance: random.Random) -> None:
    async with own_topics(kafka_server) as kafka, Publisher(kafka) as publisher:
        history = History(Topics(publisher), chance)
        await history.begin()
        url = await databases.make("ranking")
        runs = split_at_restarts(steps)
        for number, run in enumerate(runs):
            async with ranking(kafka, url, RANKING_FOLD_SECONDS="0.02", LOG_LEVEL="error") as reader:
                for step in run:
                    await history.take(step)
                if number == len(runs) - 1:
                    await history.compare(reader)
                    await until_folded(url, history.folded())
        await databases.drop(url)


def split_at_restarts(steps: list[tuple[str, Any, Any]]) -> list[list[tuple[str, Any, Any]]]:
    runs: list[list[tuple[str, Any, Any]]] = [[]]
    for step in steps:
        if step[0] == "restart" and len(runs) < 3:
            runs.append([])
        else:
            runs[-1].append(step)
    return runs


class History:
    """The same history on the topics and as a plain list."""

    def __init__(self, topics: Topics, chance: random.Random) -> None:
        self.topics = topics
        self.chance = chance
        self.now = datetime.now(UTC)
        self.stores = {store: PlainStore(id=store, name=f"Store {store}", region="r-1") for store in IDS}
        self.events: list[Counted] = []
        self.open: list[Counted] = []
        self.sent: dict[int, list[Any]] = {0: [], 1: []}

    async def begin(self) -> None:
        await self.topics.tokens()
        await self.topics.campaign()
        for store in IDS:
            await self._tell(self.stores[store])

    async def take(self, step: tuple[str, Any, Any]) -> None:
        match step:
            case ("redeem", store, minutes):
                event = redeemed(store, self.now - timedelta(minutes=minutes))
                self.open.append(event)
                await self._send(event)
            case ("reverse", which, minutes):
                if self.open:
                    await self._send(reversed_at(self.open.pop(which % len(self.open)), self.now - timedelta(minutes=minutes)))
            case ("again", partition, _):
                for records in self.sent[partition][-3:]:
                    await self.topics.again(partition, records)
            case ("hide", store, hidden):
                await self._tell(
                    PlainStore(id=store, name=f"Store {store}", region=self.stores[store].region, shown=not hidden)
                )
            case ("move", store, region):
                await self._tell(PlainStore(id=store, name=f"Store {store}", region=region, shown=self.stores[store].shown))

    async def compare(self, reader: Any) -> None:
        """Every board, once it has caught up."""
        plain = PlainCampaign(time_zone=ZONE, stores=list(self.stores.values()), events=self.events)
        today = datetime.now(ZoneInfo(ZONE)).date()
        for window in ("day", "week", "month", "all"):
            for days in (0, 1, 6):
                day = today - timedelta(days=days)
                for scope in ("all", "region:r-1"):
                    await self._compare_board(reader, plain, window, day, scope, is_now=days == 0)

    async def _compare_board(
        self, reader: Any, plain: PlainCampaign, window: str, day: date, scope: str, *, is_now: bool
    ) -> None:
        first, last = window_days(window, day)
        expected = plain.board(first, date.max if window == "all" and is_now else last, scope, "count")
        parameters = {"window": window, "date": day.isoformat(), "scope": scope}

        async def agrees() -> bool:
            status, body = await reader.get("/v1/campaigns/spring/leaderboard", **parameters)
            if status == 422:
                return not any(store.region == "r-1" for store in self.stores.values())
            shown = [(row["rank"], row["store_id"], row["score"]) for row in body["rows"]]
            return shown == [(row["rank"], row["store_id"], row["score"]) for row in expected]

        await poll_until(agrees, what=f"{parameters} to be {expected}")

    def folded(self) -> dict[str, int]:
        scores: dict[str, int] = {}
        for event in self.events:
            scores[event.store_id] = scores.get(event.store_id, 0) + (-1 if event.is_reversal else 1)
        return scores

    async def _send(self, event: Counted) -> None:
        partition = self.chance.randrange(2)
        self.events.append(event)
        self.sent[partition].append(await self.topics.outcomes(partition, [event]))

    async def _tell(self, store: PlainStore) -> None:
        self.stores[store.id] = store
        await self.topics.store(store.id, name=store.name, region=store.region, hidden=not store.shown)
