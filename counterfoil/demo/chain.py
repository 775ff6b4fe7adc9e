"""What the demo sees of the chain: outcomes counted as they come, and the figures of ledger, ranking and reporting."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from counterfoil.environment import CommandError
from counterfoil.http import Service
from shared.contracts.codec import decoder
from shared.contracts.redemption import Effect, Outcome, Source, effect_of
from shared.contracts.topics import OUTCOMES
from shared.environment import KafkaConnection
from shared.kafka.following import TopicFollower, from_the_end
from shared.kafka.records import Record

AGREE_SECONDS = 60.0
_decode = decoder(Outcome)


@dataclass(slots=True)
class OutcomeTally:
    """Counts the outcomes of one run, told by the prefix of its event ids; a repeated record counts once."""

    prefix: str
    campaign_id: str
    outcomes: Counter[str] = field(default_factory=Counter)
    decided: int = 0
    redemptions: int = 0
    reversals: int = 0
    marks: dict[int, Source] = field(default_factory=dict)

    def take(self, partition: int, records: Sequence[Record]) -> None:
        for record in records:
            outcome = _decode(record.value or b"")
            mark = self.marks.get(partition)
            if mark is not None and outcome.source <= mark:
                continue
            self.marks[partition] = outcome.source
            if outcome.event_id.startswith(self.prefix):
                self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        self.decided += 1
        self.outcomes[f"{outcome.outcome}{' (sent again)' if outcome.duplicate else ''}"] += 1
        if outcome.campaign_id == self.campaign_id:
            effect = effect_of(outcome)
            self.redemptions += effect is Effect.REDEMPTION
            self.reversals += effect is Effect.REVERSAL


class OutcomesWatch:
    """Follows the outcomes topic from its end of now into a tally."""

    def __init__(self, connection: KafkaConnection, tally: OutcomeTally) -> None:
        self.tally = tally
        self._follower = TopicFollower(connection, {OUTCOMES.name: tally.take}, start_at=from_the_end)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "OutcomesWatch":
        self._task = asyncio.create_task(self._follower.run(), name="demo outcomes")
        await asyncio.wait_for(self._follower.wait_loaded(), 30)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


async def until_agreed(ranking: Service, reporting: Service, tally: OutcomeTally) -> tuple[dict[str, Any], dict[str, Any]]:
    """Waits until ranking and reporting show what the outcomes sum up to; gives the leaderboard and the summary.

    Raises CommandError with the figures when they do not agree within a minute.
    """
    expected = tally.redemptions - tally.reversals
    deadline = time.monotonic() + AGREE_SECONDS
    while True:
        board = await whole_board(ranking, tally.campaign_id)
        summary = await reporting.call("GET", f"/v1/campaigns/{tally.campaign_id}/summary")
        scored = sum(row["score"] for row in board["rows"])
        reported = summary["accepted"] - summary["reversed"]
        if scored == reported == expected:
            return board, summary
        if time.monotonic() > deadline:
            raise CommandError(f"the chain does not agree: outcomes {expected}, ranking {scored}, reporting {reported}")
        await asyncio.sleep(0.2)


async def whole_board(ranking: Service, campaign_id: str) -> dict[str, Any]:
    """The all-time board with all its rows."""
    board: dict[str, Any] = await ranking.call(
        "GET", f"/v1/campaigns/{campaign_id}/leaderboard", query={"window": "all", "limit": "1000"}
    )
    return board
