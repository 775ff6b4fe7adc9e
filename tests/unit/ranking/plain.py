"""The rules of ranking written down once more, the slow and plain way: from all events, for one board at a time."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Z = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Counted:
    """An accepted redemption, or a reversal of one; `counted_at` is the redemption's own time."""

    store_id: str
    occurred_at: datetime
    counted_at: datetime
    is_reversal: bool = False


@dataclass(frozen=True, kw_only=True)
class PlainStore:
    id: str
    name: str
    chain: str | None = None
    region: str | None = None
    peer_group: str | None = None
    shown: bool = True


@dataclass(kw_only=True)
class PlainCampaign:
    time_zone: str
    stores: Sequence[PlainStore]
    issued: Mapping[str, int] = field(default_factory=dict)
    events: list[Counted] = field(default_factory=list)

    def local_day(self, moment: datetime) -> date:
        return moment.astimezone(ZoneInfo(self.time_zone)).date()

    def board(self, first: date, last: date, scope: str, by: str) -> list[dict[str, Any]]:
        """Ranked rows over the days from first to last, best first, without movement."""
        found = []
        for store in self.stores:
            events = [e for e in self.events if e.store_id == store.id and first <= self.local_day(e.counted_at) <= last]
            score = sum(-1 if e.is_reversal else 1 for e in events)
            issued = self.issued.get(store.id, 0)
            if score <= 0 or not store.shown or not _belongs(store, scope) or (by == "rate" and issued < 100):
                continue
            key = score if by == "count" else wilson(score, issued)
            found.append((-key, max(e.occurred_at for e in events), store.id, score, issued, store))
        found.sort(key=lambda entry: entry[:3])
        total = sum(entry[3] for entry in found)
        return [
            {
                "position": position,
                "rank": 1 + sum(other[0] < entry[0] for other in found),
                "store_id": entry[2],
                "store_name": entry[5].name,
                "score": entry[3],
                "share": entry[3] / total,
                "rate": entry[3] / entry[4] if by == "rate" else None,
                "key": -entry[0],
            }
            for position, entry in enumerate(found, start=1)
        ]

    def ranks(self, first: date, last: date, scope: str, by: str) -> dict[str, int]:
        return {row["store_id"]: row["rank"] for row in self.board(first, last, scope, by)}

    def best_rank(self, store_id: str, today: date) -> int | None:
        days = {self.local_day(e.counted_at) for e in self.events}
        ends = [day for day in days if day < today] + [date.max]
        ranks = [self.ranks(date.min, end, "all", "count").get(store_id) for end in ends]
        return min((rank for rank in ranks if rank is not None), default=None)


def wilson(successes: int, trials: int) -> float:
    share = min(successes / trials, 1.0)
    margin = Z * math.sqrt((share * (1.0 - share) + Z * Z / (4.0 * trials)) / trials)
    return (share + Z * Z / (2.0 * trials) - margin) / (1.0 + Z * Z / trials)


def gap(board: Sequence[Mapping[str, Any]], store_id: str, score: int, issued: int, by: str) -> int | None:
    """Redemptions needed for a better rank, found by trying one more and one more."""
    own = next(row for row in board if row["store_id"] == store_id)
    better = [row["key"] for row in board if row["key"] > own["key"]]
    if not better:
        return None
    for more in range(1, 10_000 if by == "count" else issued - score + 1):
        key = score + more if by == "count" else wilson(score + more, issued)
        if key >= min(better):
            return more
    return None


def window_days(window: str, day: date) -> tuple[date, date]:
    match window:
        case "day":
            return day, day
        case "week":
            year, week, _ = day.isocalendar()
            return date.fromisocalendar(year, week, 1), date.fromisocalendar(year, week, 7)
        case "month":
            following = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
            return day.replace(day=1), following - timedelta(days=1)
    return date.min, day


def stores_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return [row["store_id"] for row in rows]


def _belongs(store: PlainStore, scope: str) -> bool:
    kind, _, name = scope.partition(":")
    return kind == "all" or name == {"region": store.region, "chain": store.chain, "peer": store.peer_group}[kind]
