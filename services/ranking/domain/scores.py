"""Counting: what outcomes change, by campaign, store and local day, and the sums of days in memory.

Everything here commutes: counts add, and `reached_at` is the latest `occurred_at` of what was counted. So the order in which
partitions are folded changes nothing, and the sums of a week, a month or the whole campaign are sums (and latest) of days.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.ranking.domain.calendar import Period, Window, microseconds_of, moment_of, period_of
from services.ranking.domain.roster import StoreIndex

Integers = NDArray[np.int64]

NEVER_US: Final = np.iinfo(np.int64).min
"""`reached_at` of a store of which nothing was counted."""


@dataclass(slots=True)
class DayScore:
    """What was counted of one store on one day."""

    redemptions: int
    reversals: int
    reached_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotals:
    """Sums of one day, arrays of one length: store numbers (each once), redemptions, reversals, reached-at."""

    numbers: Integers
    redemptions: Integers
    reversals: Integers
    reached_at_us: Integers

    def scores(self) -> Iterator[tuple[int, DayScore]]:
        """Store by store: its number and what was counted of it."""
        columns = (self.numbers, self.redemptions, self.reversals, self.reached_at_us)
        for number, redemptions, reversals, reached in zip(*(column.tolist() for column in columns), strict=True):
            yield number, DayScore(redemptions, reversals, moment_of(reached))


def totals_of(scores: Sequence[tuple[int, DayScore]]) -> DayTotals:
    """Totals from what was counted of each store, by its number."""
    rows = [(number, s.redemptions, s.reversals, microseconds_of(s.reached_at)) for number, s in scores]
    numbers, redemptions, reversals, reached = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return DayTotals(numbers=numbers, redemptions=redemptions, reversals=reversals, reached_at_us=reached)


class DayChanges:
    """What outcomes add to one day, one after the other: store numbers and moments of redemptions, and of reversals."""

    __slots__ = ("redeemed", "redeemed_at_us", "reversed", "reversed_at_us")

    def __init__(self) -> None:
        self.redeemed: list[int] = []
        self.redeemed_at_us: list[int] = []
        self.reversed: list[int] = []
        self.reversed_at_us: list[int] = []

    def __len__(self) -> int:
        return len(self.redeemed) + len(self.reversed)

    def merge(self, other: "DayChanges") -> None:
        self.redeemed += other.redeemed
        self.redeemed_at_us += other.redeemed_at_us
        self.reversed += other.reversed
        self.reversed_at_us += other.reversed_at_us

    def totals(self) -> DayTotals:
        numbers, places = np.unique(np.array(self.redeemed + self.reversed, dtype=np.int64), return_inverse=True)
        reached = np.full(len(numbers), NEVER_US, dtype=np.int64)
        np.maximum.at(reached, places, np.array(self.redeemed_at_us + self.reversed_at_us, dtype=np.int64))
        redeemed = len(self.redeemed)
        return DayTotals(
            numbers=numbers,
            redemptions=np.bincount(places[:redeemed], minlength=len(numbers)),
            reversals=np.bincount(places[redeemed:], minlength=len(numbers)),
            reached_at_us=reached,
        )


class ScoreChanges:
    """What some outcomes add, by campaign and day; stores are numbered by the index.

    Counting an outcome appends to lists; sums are made by whole arrays, when they are asked for.
    """

    def __init__(self, index: StoreIndex) -> None:
        self.index = index
        self.by_day: dict[tuple[str, date], DayChanges] = {}

    def __len__(self) -> int:
        """How many outcomes were counted."""
        return sum(map(len, self.by_day.values()))

    def day(self, campaign_id: str, day: date) -> DayChanges:
        """What is added to a campaign's day, to be added to."""
        found = self.by_day.get((campaign_id, day))
        if found is None:
            found = self.by_day[campaign_id, day] = DayChanges()
        return found

    def merge(self, other: "ScoreChanges") -> None:
        """Adds changes that were counted with the same index."""
        for (campaign_id, day), changes in other.by_day.items():
            self.day(campaign_id, day).merge(changes)

    def totals(self) -> Iterator[tuple[str, date, DayTotals]]:
        for (campaign_id, day), changes in self.by_day.items():
            yield campaign_id, day, changes.totals()


@dataclass(slots=True)
class Tally:
    """Score and reached-at of every store by its number, over some days. `changes` grows with every change."""

    scores: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    reached_at_us: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    changes: int = 0

    def resize(self, stores: int) -> None:
        missing = stores - len(self.scores)
        if missing > 0:
            room = max(missing, len(self.scores) // 2)
            self.scores = np.concatenate([self.scores, np.zeros(room, dtype=np.int64)])
            self.reached_at_us = np.concatenate([self.reached_at_us, np.full(room, NEVER_US, dtype=np.int64)])

    def add(self, numbers: Integers, scores: Integers, reached_at_us: Integers, *, stores: int) -> None:
        """Adds to the stores of these numbers, each of which comes once."""
        self.resize(stores)
        self.scores[numbers] += scores
        self.reached_at_us[numbers] = np.maximum(self.reached_at_us[numbers], reached_at_us)
        self.changes += 1


class CampaignScores:
    """A campaign's scores in memory: a tally for each day, ISO week and month, and one of all days."""

    def __init__(self, index: StoreIndex) -> None:
        self._index = index
        self._tallies: dict[tuple[Window, date | None], Tally] = {(Window.ALL, None): Tally()}
        self._empty = Tally()

    @property
    def days(self) -> list[date]:
        """The days of which something was counted, in order."""
        return sorted(first for window, first in self._tallies if window is Window.DAY and first is not None)

    def add_day(self, day: date, totals: DayTotals) -> None:
        """Adds to the day and to the windows that hold it."""
        added = totals.redemptions - totals.reversals
        for key in _tallies_of(day):
            tally = self._tallies.setdefault(key, Tally())
            tally.add(totals.numbers, added, totals.reached_at_us, stores=len(self._index))

    def tally(self, period: Period) -> Tally:
        """The period's tally, its arrays as long as the index. Of ALL, the days up to the period's last."""
        if period.window is Window.ALL and any(day > period.last_day for day in self.days):
            return self._up_to(period.last_day)
        first = None if period.window is Window.ALL else period.first_day
        tally = self._tallies.get((period.window, first), self._empty)
        tally.resize(len(self._index))
        return tally

    def changes(self, period: Period) -> int:
        """Grows whenever the period's tally changes."""
        if period.window is not Window.ALL:
            return self._tallies.get((period.window, period.first_day), self._empty).changes
        return sum(self._tallies[Window.DAY, day].changes for day in self.days if day <= period.last_day)

    def ends_of_days(self, *, before: date) -> Iterator[tuple[date, Integers]]:
        """For each day with a count before the date, every store's score of all days up to its end."""
        total = np.zeros(len(self._index), dtype=np.int64)
        for day in self.days:
            if day < before:
                total = total + self._day(day).scores[: len(total)]
                yield day, total

    def _up_to(self, last_day: date) -> Tally:
        sum_of_days = Tally()
        sum_of_days.resize(len(self._index))
        size = len(self._index)
        for day in self.days:
            if day <= last_day:
                tally = self._day(day)
                sum_of_days.scores[:size] += tally.scores[:size]
                np.maximum(sum_of_days.reached_at_us[:size], tally.reached_at_us[:size], out=sum_of_days.reached_at_us[:size])
                sum_of_days.changes += tally.changes
        return sum_of_days

    def _day(self, day: date) -> Tally:
        tally = self._tallies[Window.DAY, day]
        tally.resize(len(self._index))
        return tally


def _tallies_of(day: date) -> list[tuple[Window, date | None]]:
    within = [period_of(window, day, campaign_first_day=day) for window in (Window.DAY, Window.WEEK, Window.MONTH)]
    return [(period.window, period.first_day) for period in within] + [(Window.ALL, None)]
