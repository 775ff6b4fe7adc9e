"""Files that stream: which rows, under which columns, in which order. Constant memory whatever the size."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Final, assert_never

from services.reporting.domain.periods import days_of, require_whole_hours
from services.reporting.handlers.selecting import Selected
from services.reporting.store.reading import DownloadStore


class Sheet(StrEnum):
    PERFORMANCE = "performance"
    LEDGER = "ledger"
    REJECTIONS = "rejections"
    STANDINGS = "standings"
    TIMESERIES = "timeseries"


class Interval(StrEnum):
    HOUR = "hour"
    DAY = "day"


PERFORMANCE_COLUMNS: Final = (
    "store_id",
    "store_name",
    "chain",
    "region",
    "country",
    "issued",
    "accepted",
    "redeemed",
    "reversed",
    "void",
    "expired",
    "outstanding",
    "rate",
    "share_of_total",
    "unique_players",
    "rank",
    "previous_rank",
    "first_redemption_at",
    "last_redemption_at",
    "rejected",
)
LEDGER_COLUMNS: Final = (
    "redemption_id",
    "event_id",
    "platform",
    "occurred_at",
    "decided_at",
    "serial",
    "batch_id",
    "store_id",
    "region",
    "player_id",
    "outcome",
    "reversed_at",
    "reason",
)
REJECTION_COLUMNS: Final = ("day", "platform", "outcome", "count", "players")
STANDING_COLUMNS: Final = ("board", "window", "position", "rank", "store", "score", "movement")


def columns_of(sheet: Sheet, interval: Interval) -> tuple[str, ...]:
    """The names in the header row."""
    match sheet:
        case Sheet.PERFORMANCE:
            return PERFORMANCE_COLUMNS
        case Sheet.LEDGER:
            return LEDGER_COLUMNS
        case Sheet.REJECTIONS:
            return REJECTION_COLUMNS
        case Sheet.STANDINGS:
            return STANDING_COLUMNS
        case Sheet.TIMESERIES:
            return (interval.value, "accepted", "rejected", "reversed")
    assert_never(sheet)


def open_rows(
    store: DownloadStore, sheet: Sheet, selected: Selected, *, interval: Interval, hash_players: bool, skip_rows: int
) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
    """The sheet's rows as CSV with LF line ends. Raises InvalidPeriod for a timeseries cut within an hour."""
    of = selected.of
    match sheet:
        case Sheet.PERFORMANCE:
            return store.performance(of)
        case Sheet.LEDGER:
            return store.ledger(of, hash_players=hash_players, skip_rows=skip_rows)
        case Sheet.REJECTIONS:
            return store.rejections(of)
        case Sheet.TIMESERIES:
            require_whole_hours(selected.period, selected.campaign.zone)
            return store.timeseries(of, by_day=interval is Interval.DAY)
        case Sheet.STANDINGS:
            first, end = days_of(selected.period, selected.campaign.zone) if selected.period else (None, None)
            return store.standings(of, first_day=first, end_day=end)
    assert_never(sheet)
