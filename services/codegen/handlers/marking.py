"""Marking the register from the outcomes topic: each outcome once, with place and mark in one transaction (rule 16)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from services.codegen.store.database import Database
from shared.contracts.codec import decoder, format_time
from shared.contracts.game_platforms import ReversalReason
from shared.contracts.redemption import Effect, Outcome, effect_of
from shared.contracts.sources import after_mark

decode_outcome = decoder(Outcome)


class Marking:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def place(self, partition: int) -> int:
        """Where to read a partition on from."""
        async with self._database.reading() as session:
            return await session.marks.find_place(partition)

    async def places(self) -> Mapping[int, int]:
        """How far each partition was folded, by whichever copy."""
        async with self._database.reading() as session:
            return await session.marks.list_places()

    async def fold(self, partition: int, records: Sequence[tuple[int, bytes]]) -> int:
        """Folds (offset, value) records that follow each other, and gives the place to read on from.

        Records below the stored place are dropped, and so are repeated outcomes. Nothing is folded past a place that lies
        before the records: the caller reads from there. Raises SourceGap when an outcome is missing, InvalidEvent for a value
        that is no outcome.
        """
        async with self._database.transaction(brief=True) as session:
            position, mark = await session.marks.lock_place(partition)
            fresh = [(offset, value) for offset, value in records if offset >= position]
            if not fresh or records[0][0] > position:
                return position
            outcomes = list(after_mark(mark, (decode_outcome(value) for _, value in fresh)))
            await session.marks.fold_redemptions(_redemptions(outcomes))
            await session.marks.fold_reversals(_reversals(outcomes))
            position = fresh[-1][0] + 1
            await session.marks.move_place(partition, position, outcomes[-1].source if outcomes else mark)
            return position

    async def forget(self) -> None:
        """Empties the marks; the consumer reads the topic again from its beginning."""
        async with self._database.transaction(brief=True) as session:
            await session.marks.forget_marks()


def _redemptions(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    return [
        {
            "redemption_id": outcome.redemption_id,
            "serial": outcome.serial,
            "platform": outcome.platform,
            "event_id": outcome.event_id,
            "player_id": outcome.player_id,
            "redeemed_at": format_time(outcome.occurred_at),
            "decided_at": format_time(outcome.decided_at),
        }
        for outcome in outcomes
        if effect_of(outcome) is Effect.REDEMPTION
    ]


def _reversals(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    found = []
    for outcome in outcomes:
        if effect_of(outcome) is Effect.REVERSAL and outcome.reason is not msgspec.UNSET:
            row = {
                "redemption_id": outcome.redemption_id,
                "serial": outcome.serial,
                "platform": outcome.platform,
                "reversed_at": format_time(outcome.decided_at),
                "reason": outcome.reason,
                "released": ReversalReason(outcome.reason).reopens_code,
            }
            found.append(row)
    return found
