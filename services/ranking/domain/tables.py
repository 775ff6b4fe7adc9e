"""What a board says: rows with share, rate and movement, a store's standing, and a version that is the same on every copy."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Final

import msgspec
import numpy as np

from services.ranking.domain.boards import LEAST_ISSUED, Board, Counts, Measure, redemptions_to_reach
from services.ranking.domain.calendar import Period
from services.ranking.domain.roster import Roster, Scope
from services.ranking.domain.scores import Integers

VERSION_BYTES: Final = 12


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """Rank on the final board of the window before, and places up (negative: down) since; null where there is none."""

    previous_rank: int | None = msgspec.field(name="from")
    change: int | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a leaderboard. `share` is of the board's whole score; `rate`, redeemed by issued, on boards by rate alone."""

    position: int
    rank: int
    store_id: str
    store_name: str
    chain: str | None
    region: str | None
    score: int
    share: float
    rate: float | None
    movement: Movement


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """What outcomes that came after a window was certified changed of a store's score."""

    store_id: str
    store_name: str
    certified_score: int
    score: int
    difference: int


class StoreStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One store's place on a table. Rank, position and percentile are null when it is unranked; `rate` is as of a `Row`."""

    store_id: str
    store_name: str
    rank: int | None
    position: int | None
    score: int
    rate: float | None
    percentile: float | None
    gap_to_next: int | None
    movement: Movement


@dataclass(frozen=True, slots=True, kw_only=True)
class TableName:
    """Which table: the board of one campaign's window, for a scope, by a measure. The window's bounds are in UTC, half-open."""

    campaign_id: str
    period: Period
    starts_at: datetime
    ends_at: datetime
    scope: Scope
    by: Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """A table's figures by store number."""

    ranks: Integers
    positions: Integers
    scores: Integers


class Table:
    """A board with all that its answers need; never changed once it is made.

    `previous` holds every store's rank on the final board of the window before, by store number, 0 without. `roster` is of the
    board's stores as its rows name them, `known` of all that are known now: a frozen window has none that it did not count.
    """

    def __init__(
        self,
        name: TableName,
        *,
        roster: Roster,
        known: Roster,
        counts: Counts,
        board: Board,
        previous: Integers,
        certified: bool = False,
    ) -> None:
        self.name = name
        self.certified = certified
        self._roster = roster
        self._known = known
        self._counts = counts
        self._board = board
        self._previous = previous
        self._total_score = int(board.scores.sum())

    @property
    def total(self) -> int:
        """How many stores are ranked."""
        return len(self._board)

    @cached_property
    def version(self) -> str:
        """A hash of all that the rows say, in their order."""
        numbers = self._board.numbers
        name = self.name
        bounds = (name.starts_at.isoformat(), name.ends_at.isoformat())
        head = (name.campaign_id, name.period.window, *bounds, str(name.scope), name.by, str(self.certified))
        digest = blake2b("\x1f".join(head).encode(), digest_size=VERSION_BYTES)
        for column in (
            self._roster.digests()[numbers],
            self._board.scores,
            self._board.keys,
            _padded(self._previous, self._roster)[numbers],
        ):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()

    def rows(self, offset: int, limit: int) -> list[Row]:
        """The rows from a position (counted from 0) on, at most `limit`."""
        return [self._row(place) for place in range(offset + 1, min(offset + limit, self.total) + 1)]

    def neighbours(self, number: int, around: int) -> list[Row]:
        """The store's row and `around` rows on each side; what an end of the board cuts off is added at the other.

        For an unranked store, as many rows from the end of the board, below which it stands.
        """
        wanted = 2 * around + 1
        place = self._board.place(number)
        first = self.total if place is None else place - 1 - around
        return self.rows(max(0, min(first, self.total - wanted)), wanted)

    def standing(self, number: int) -> StoreStanding:
        """Where the store of this number stands."""
        place, rank, score = self._board.place(number), self._board.rank(number), self.score(number)
        facts, store_id = self._roster.get(number) or self._known.get(number), self._roster.index.ids[number]
        return StoreStanding(
            store_id=store_id,
            store_name=facts.name if facts else store_id,
            rank=rank,
            position=place,
            score=score,
            rate=self._rate(number, score),
            percentile=None if rank is None else 100 * (self.total - rank + 1) / self.total,
            gap_to_next=self._gap(number, place),
            movement=self._movement(number, rank),
        )

    def store_id(self, number: int) -> str:
        return self._roster.index.ids[number]

    def score(self, number: int) -> int:
        """The store's score, also when it is not ranked."""
        place = self._board.place(number)
        return _at(self._counts.scores, number) if place is None else int(self._board.scores[place - 1])

    def columns(self) -> Columns:
        """Rank, position and score of every store by its number, 0 for the unranked."""
        size = len(self._roster.index)
        columns = [np.zeros(size, dtype=np.int64) for _ in range(3)]
        for column, values in zip(columns, (self._board.ranks, np.arange(1, self.total + 1), self._board.scores), strict=True):
            column[self._board.numbers] = values
        return Columns(ranks=columns[0], positions=columns[1], scores=columns[2])

    def _gap(self, number: int, place: int | None) -> int | None:
        issued, by = _at(self._counts.issued, number), self.name.by
        if place is None:
            return self._gap_of_unranked(number, issued)
        key = self._board.next_better_key(place)
        score = int(self._board.scores[place - 1])
        return None if key is None else redemptions_to_reach(key, score=score, issued=issued, by=by)

    def _gap_of_unranked(self, number: int, issued: int) -> int | None:
        facts = self._roster.get(number)
        can_be_ranked = self.name.by is Measure.COUNT or issued >= LEAST_ISSUED
        if facts is None or not facts.shown or not facts.belongs_to(self.name.scope) or not can_be_ranked:
            return None
        return 1 - _at(self._counts.scores, number)

    def _row(self, place: int) -> Row:
        number = int(self._board.numbers[place - 1])
        facts = self._roster.get(number)
        score, rank = int(self._board.scores[place - 1]), int(self._board.ranks[place - 1])
        store_id = self._roster.index.ids[number]
        return Row(
            position=place,
            rank=rank,
            store_id=store_id,
            store_name=facts.name if facts else store_id,
            chain=facts.chain if facts else None,
            region=facts.region if facts else None,
            score=score,
            share=score / self._total_score,
            rate=self._rate(number, score),
            movement=self._movement(number, rank),
        )

    def _rate(self, number: int, score: int) -> float | None:
        issued = _at(self._counts.issued, number)
        return score / issued if self.name.by is Measure.RATE and issued else None

    def _movement(self, number: int, rank: int | None) -> Movement:
        previous = _at(self._previous, number) or None
        change = None if previous is None or rank is None else previous - rank
        return Movement(previous_rank=previous, change=change)


def _at(array: Integers, number: int) -> int:
    """The store's value, 0 for a store that came after the table was made."""
    return int(array[number]) if number < len(array) else 0


def _padded(array: Integers, roster: Roster) -> Integers:
    missing = len(roster.index) - len(array)
    return np.concatenate([array, np.zeros(missing, dtype=np.int64)]) if missing > 0 else array
