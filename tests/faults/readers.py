"""Ranking and reporting, fed by what redemption has published through all its faults, next to a recomputation of it."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from shared.contracts.topics import OUTCOMES
from tests.faults.checker import REOPENS
from tests.integration.ranking.system import Reader, ranking
from tests.integration.redemption.world import World
from tests.integration.reporting.system import Reporting, reporting_service
from tests.support.polling import poll_until

CAMPAIGN = "spring"
DEADLINE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Recomputed:
    """By store, from the outcomes alone."""

    accepted: Counter[str] = field(default_factory=Counter)
    reversed: Counter[str] = field(default_factory=Counter)
    reopened: Counter[str] = field(default_factory=Counter)

    @property
    def scores(self) -> dict[str, int]:
        """Stores with a score of 0 are unranked."""
        return {store: score for store, count in self.accepted.items() if (score := count - self.reversed[store])}

    @property
    def figures(self) -> dict[str, tuple[int, int, int]]:
        """Accepted, reversed, and redeemed now."""
        return {store: (n, self.reversed[store], n - self.reopened[store]) for store, n in self.accepted.items()}


async def recompute(world: World) -> Recomputed:
    """Each source counts once, however often it was published."""
    found, seen = Recomputed(), set[tuple[int, int, int]]()
    for partition in range(await world.inspector.partitions(OUTCOMES.name)):
        for record in await world.outcome_records(partition):
            outcome = json.loads(record.value or b"")
            source = (outcome["source"]["epoch"], partition, outcome["source"]["offset"])
            if source in seen or outcome["duplicate"]:
                continue
            seen.add(source)
            found.accepted[outcome["store_id"]] += outcome["type"] == "redemption.accepted"
            found.reversed[outcome["store_id"]] += outcome["type"] == "redemption.reversed"
            found.reopened[outcome["store_id"]] += outcome["type"] == "redemption.reversed" and outcome["reason"] in REOPENS
    return found


async def check_readers(world: World, *, ranking_url: str, reporting_url: str) -> None:
    """Raises AssertionError where a store's score or figures are not what the outcomes say, a minute after they all came."""
    wanted = await recompute(world)
    await world.publish_token("t-reports", ("reports",))
    async with (
        ranking(world.kafka, ranking_url) as boards,
        reporting_service(world.kafka, reporting_url, REPORTING_TIMER="false") as reporting,
    ):
        await _agrees(lambda: _scores(boards), wanted.scores, "ranking's scores")
        figures = {store: figures for store, figures in wanted.figures.items() if any(figures)}
        await _agrees(lambda: _figures(reporting), figures, "reporting's figures")


async def _agrees(ask: Callable[[], Awaitable[object]], wanted: object, what: str) -> None:
    async def same() -> bool:
        return await ask() == wanted

    try:
        await poll_until(same, DEADLINE_SECONDS, every_seconds=0.2, what=what)
    except AssertionError:
        raise AssertionError(f"{what} are {await ask()}, the outcomes say {wanted}") from None


async def _scores(boards: Reader) -> dict[str, int] | None:
    status, board = await boards.get(f"/v1/campaigns/{CAMPAIGN}/leaderboard", window="all", limit=1_000)
    return {row["store_id"]: row["score"] for row in board["rows"]} if status == 200 else None


async def _figures(reporting: Reporting) -> dict[str, tuple[int, int, int]] | None:
    async with await reporting.get(f"/v1/campaigns/{CAMPAIGN}/summary") as response:
        if response.status != 200:
            return None
    rows = await reporting.rows(f"/v1/campaigns/{CAMPAIGN}/performance.csv")
    figures = {row["store_id"]: (int(row["accepted"]), int(row["reversed"]), int(row["redeemed"])) for row in rows}
    return {store: values for store, values in figures.items() if any(values)}
