"""The figures of a campaign as one answer, and those of its stores."""

from typing import Any, Final

from services.reporting.handlers.freshness import Freshness
from services.reporting.handlers.selecting import Selected
from services.reporting.store.reading import FigureStore

COUNTS: Final = (
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

STORE_FIGURES: Final = (
    "store_id",
    "issued",
    "accepted",
    "redeemed",
    "reversed",
    "void",
    "expired",
    "outstanding",
    "unique_players",
    "rank",
    "previous_rank",
    "rejected",
)
STORE_TEXTS: Final = ("store_name", "chain", "region", "country")


async def summarise(store: FigureStore, selected: Selected, freshness: Freshness) -> dict[str, Any]:
    """The sums of a selection by name, with its campaign: what `SummaryAnswer` describes and the report's cover shows.

    States (issued, void, expired, outstanding) are of now whatever the period.
    """
    row, campaign, now = await store.summary(selected.of), selected.campaign, selected.of.now
    counts = {name: row[name] or 0 for name in COUNTS}
    return {
        "campaign_id": campaign.id,
        "name": campaign.name,
        "time_zone": campaign.time_zone,
        "starts_at": campaign.starts_at,
        "ends_at": campaign.ends_at,
        "state": campaign.state(now),
        "days_left": campaign.days_left(now),
        **counts,
        "rate": round(counts["redeemed"] / counts["issued"], 6) if counts["issued"] else None,
        "first_redemption_at": row["first_at"],
        "last_redemption_at": row["last_at"],
        "as_of": freshness.as_of,
        "lag_seconds": freshness.lag_seconds(now),
    }


async def list_performance(store: FigureStore, selected: Selected) -> list[dict[str, Any]]:
    """The rows of performance.csv as values, shares as fractions: what `PerformanceRow` describes."""
    return [_performance_row(row) for row in await store.performance(selected.of)]


def _performance_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in STORE_FIGURES},
        **{name: row[name] or None for name in STORE_TEXTS},
        "rate": row["redeemed"] / row["issued"] if row["issued"] else None,
        "share_of_total": row["redeemed"] / row["all_redeemed"] if row["all_redeemed"] else None,
        "first_redemption_at": row["first_at"],
        "last_redemption_at": row["last_at"],
    }
