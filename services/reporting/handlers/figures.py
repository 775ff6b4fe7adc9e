"""The figures of a campaign as one answer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.reporting.domain.campaigns import State
from services.reporting.handlers.freshness import Freshness
from services.reporting.handlers.selecting import Selected
from services.reporting.store.reading import FigureStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts of codes and redemptions of a selection. `rate` is redeemed ÷ issued, None when nothing was issued."""

    stores: int
    issued: int
    accepted: int
    redeemed: int
    reversed: int
    void: int
    expired: int
    outstanding: int
    score: int
    rate: float | None
    unique_players: int
    rejected: int
    first_redemption_at: datetime | None
    last_redemption_at: datetime | None
    state: State
    days_left: int
    as_of: datetime
    lag_seconds: float


async def summarise(store: FigureStore, selected: Selected, freshness: Freshness) -> Summary:
    """The sums of a selection; states (issued, void, expired, outstanding) are of now whatever the period."""
    row: dict[str, Any] = await store.summary(selected.of)
    counts = {name: row[name] or 0 for name in _COUNTS}
    now = selected.of.now
    return Summary(
        **counts,
        rate=round(counts["redeemed"] / counts["issued"], 6) if counts["issued"] else None,
        first_redemption_at=row["first_at"],
        last_redemption_at=row["last_at"],
        state=selected.campaign.state(now),
        days_left=selected.campaign.days_left(now),
        as_of=freshness.as_of,
        lag_seconds=freshness.lag_seconds(now),
    )


_COUNTS = (
    "stores",
    "issued",
    "accepted",
    "redeemed",
    "reversed",
    "void",
    "expired",
    "outstanding",
    "score",
    "unique_players",
    "rejected",
)
