"""A board: stores in the order of their scores, with competition ranks.

Boards are made from whole arrays at once and never changed: a board of ten thousand stores takes about a millisecond, which
is less than a handful of changes to a sorted structure of Python objects, however many stores changed.
"""

from bisect import bisect_left
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.ranking.domain.roster import Flags, Indices, Roster, Scope, ScopeKind
from services.ranking.domain.scores import Integers

LEAST_ISSUED: Final = 100
"""A store with fewer codes issued is not ranked by rate."""

Z_95: Final = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""

Keys = NDArray[Any]
"""What a board is ordered by, greatest first: scores (int64) or lower Wilson bounds (float64)."""


class Measure(StrEnum):
    """What a board ranks by."""

    COUNT = "count"
    RATE = "rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a board is made from, each array by store number: scores, reached-at and issued codes."""

    scores: Integers
    reached_at_us: Integers
    issued: Integers


@dataclass(frozen=True, kw_only=True)
class Board:
    """Ranked stores, best first: by place, their `numbers`, `keys` and `scores`.

    A place is a position counted from 1; equal keys share a rank, and the next rank skips as many (1, 2, 2, 4).
    """

    numbers: Indices
    keys: Keys
    scores: Integers
    stores: int

    @cached_property
    def ranks(self) -> Integers:
        """Ranks by place."""
        starts = np.ones(len(self), dtype=np.bool_)
        starts[1:] = self.keys[1:] != self.keys[:-1]
        first_of_group: Integers = np.maximum.accumulate(np.where(starts, np.arange(1, len(self) + 1), 0))
        return first_of_group

    @cached_property
    def places(self) -> Integers:
        """Places by store number, 0 for the unranked."""
        places = np.zeros(self.stores, dtype=np.int64)
        places[self.numbers] = np.arange(1, len(self) + 1)
        return places

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, number: int) -> int | None:
        """The store's position, None when it is not ranked."""
        return int(self.places[number]) or None if number < len(self.places) else None

    def rank(self, number: int) -> int | None:
        place = self.place(number)
        return None if place is None else int(self.ranks[place - 1])

    def next_better_key(self, place: int) -> float | int | None:
        """The key that the stores of the next better rank have, None for the first rank."""
        better = int(self.ranks[place - 1]) - 2
        return None if better < 0 else self.keys[better].item()


def wilson_lower_bound(successes: Integers, trials: Integers) -> NDArray[np.float64]:
    """Lower end of the 95 % Wilson score interval of a share (Wilson 1927); more successes than trials count as all.

    Trials must be positive. Uses only operations that IEEE 754 rounds exactly, so every copy gets the same bits.
    """
    n = trials.astype(np.float64)
    share = np.minimum(successes.astype(np.float64) / n, 1.0)
    z2 = Z_95 * Z_95
    margin = Z_95 * np.sqrt((share * (1.0 - share) + z2 / (4.0 * n)) / n)
    bound: NDArray[np.float64] = (share + z2 / (2.0 * n) - margin) / (1.0 + z2 / n)
    return bound


def rank_all(roster: Roster, counts: Counts, by: Measure) -> Board:
    """The overall board: score (or bound) descending, reached-at ascending, store id ascending; scores above 0 alone."""
    candidates = roster.shown_by_id()
    kept = candidates[_ranked(counts, candidates, by)]
    keys = _keys(counts, kept, by)
    order = np.lexsort((counts.reached_at_us[kept], -keys))
    numbers = kept[order]
    return Board(numbers=numbers, keys=keys[order], scores=counts.scores[numbers], stores=len(roster.index))


def within(board: Board, roster: Roster, scope: Scope) -> Board:
    """The board of those of a board's stores that belong to a scope; their order stays, their ranks are their own."""
    if scope.kind is ScopeKind.ALL:
        return board
    belongs = roster.members(scope)[board.numbers]
    numbers, keys, scores = board.numbers[belongs], board.keys[belongs], board.scores[belongs]
    return Board(numbers=numbers, keys=keys, scores=scores, stores=board.stores)


def ranks_alone(roster: Roster, counts: Counts, by: Measure, scope: Scope) -> Integers:
    """Every store's rank by its number, 0 for the unranked: what a board says without its order."""
    members = np.flatnonzero(roster.members(scope)[: len(counts.scores)])
    kept = members[_ranked(counts, members, by)]
    return ranks_by_key(kept, _keys(counts, kept, by), stores=len(roster.index))


def ranks_by_key(numbers: Indices, keys: Keys, *, stores: int) -> Integers:
    """Competition ranks by store number: one more than the number of greater keys."""
    ranks = np.zeros(stores, dtype=np.int64)
    ranks[numbers] = 1 + len(keys) - np.searchsorted(np.sort(keys), keys, side="right")
    return ranks


def redemptions_to_reach(key: float | int, *, score: int, issued: int, by: Measure) -> int | None:
    """How many more redemptions give a store at least this key; None when its codes do not suffice."""
    match by:
        case Measure.COUNT:
            return max(1, int(key) - score)
        case Measure.RATE:
            enough = score + 1 + bisect_left(range(score + 1, issued + 1), key, key=lambda s: _bound_of_one(s, issued))
            return enough - score if enough <= issued else None


def _bound_of_one(successes: int, trials: int) -> float:
    """The bound that the arrays would hold, to the bit."""
    bounds = wilson_lower_bound(np.array([successes], dtype=np.int64), np.array([trials], dtype=np.int64))
    return float(bounds[0])


def _ranked(counts: Counts, numbers: Indices, by: Measure) -> Flags:
    has_score: Flags = counts.scores[numbers] > 0
    match by:
        case Measure.COUNT:
            return has_score
        case Measure.RATE:
            enough: Flags = has_score & (counts.issued[numbers] >= LEAST_ISSUED)
            return enough


def _keys(counts: Counts, numbers: Indices, by: Measure) -> Keys:
    match by:
        case Measure.COUNT:
            return counts.scores[numbers]
        case Measure.RATE:
            return wilson_lower_bound(counts.scores[numbers], counts.issued[numbers])
