"""Counting: what outcomes change, by campaign, store and local day, and the sums of days in memory.

Everything here commutes: counts add, and `reached_at` is the latest `occurred_at` of what was counted. So the order in which
partitions are folded changes nothing, and the sums of a week, a month or the whole campaign are sums (and latest) of days.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.ranking.domain.calendar import Period, Window, microseconds_of, period_of
from services.ranking.domain.roster import StoreIndex

Integers = NDArray[np.int64]

NEVER_US: Final = np.iinfo(np.int64).min
"""`reached_at` of a store of which nothing was counted."""

ScoreKey = tuple[str, date, str]
"""campaign_id, local day, store_id"""


@dataclass(slots=True)
class DayScore:
    """What was counted of one store on one day."""

    redemptions: int
    reversals: int
    reached_at: datetime


class ScoreChanges:
    """What some outcomes add, one entry for each campaign, day and store."""

    def __init__(self) -> None:
        self.by_key: dict[ScoreKey, DayScore] = {}

    def __len__(self) -> int:
        return len(self.by_key)

    def count(self, key: ScoreKey, redemptions: int, reversals: int, occurred_at: datetime) -> None:
        found = self.by_key.get(key)
        if found is None:
            self.by_key[key] = DayScore(redemptions, reversals, occurred_at)
            return
        found.redemptions += redemptions
        found.reversals += reversals
        if occurred_at > found.reached_at:
            found.reached_at = occurred_at

    def merge(self, other: "ScoreChanges") -> None:
        for key, added in other.by_key.items():
            self.count(key, added.redemptions, added.reversals, added.reached_at)

    def by_campaign_and_day(self) -> Mapping[tuple[str, date], list[tuple[str, DayScore]]]:
        grouped: dict[tuple[str, date], list[tuple[str, DayScore]]] = {}
        for (campaign_id, day, store_id), score in self.by_key.items():
            grouped.setdefault((campaign_id, day), []).append((store_id, score))
        return grouped


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
        """Adds to the stores of these numbers; a number may come more than once."""
        self.resize(stores)
        np.add.at(self.scores, numbers, scores)
        np.maximum.at(self.reached_at_us, numbers, reached_at_us)
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

    def add_day(self, day: date, scores: Iterable[tuple[str, DayScore]]) -> None:
        """Adds to the day and to the windows that hold it."""
        rows = [(self._index.number(store), s.redemptions - s.reversals, microseconds_of(s.reached_at)) for store, s in scores]
        numbers, added, reached = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        for key in _tallies_of(day):
            tally = self._tallies.setdefault(key, Tally())
            tally.add(numbers, added, reached, stores=len(self._index))

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
