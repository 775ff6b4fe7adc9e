"""How far behind the outcomes topic the tables are, whichever copy folds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from services.reporting.store.reading import FigureStore
from shared.contracts.topics import OUTCOMES


@dataclass(frozen=True, slots=True)
class Freshness:
    """`as_of`: everything that was decided before is in the figures. `behind`: outcomes that are not folded yet."""

    as_of: datetime
    behind: int

    def lag_seconds(self, now: datetime) -> float:
        return max(0.0, round((now - self.as_of).total_seconds(), 3))


NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class FreshnessBoard:
    """The latest measurement of this process, and since when each partition is known to have been folded to its end."""

    def __init__(self) -> None:
        self.latest = Freshness(NEVER, 0)
        self.measured_at: datetime | None = None
        self._at_end: dict[int, datetime] = {}

    async def measure(self, store: FigureStore, ends: Mapping[int, int], asked_at: datetime) -> None:
        """Compares the ends of the outcomes topic, asked for at `asked_at`, with the places in Postgres."""
        places = {row["partition"]: row for row in await store.places(OUTCOMES.name)}
        behind, as_of = 0, asked_at
        for partition, end in ends.items():
            row = places.get(partition)
            missing = end - (row["next_offset"] if row else 0)
            if missing <= 0:
                self._at_end[partition] = asked_at
                continue
            behind += missing
            folded_until = row["last_decided_at"] if row else None
            as_of = min(as_of, max(folded_until or NEVER, self._at_end.get(partition, NEVER)))
        self.latest = Freshness(as_of, behind)
        self.measured_at = asked_at

    @property
    def measured(self) -> bool:
        return self.measured_at is not None
