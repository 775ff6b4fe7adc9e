"""Values in words and figures, as filters of the templates."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup

from shared.contracts.codec import format_time
from shared.contracts.codegen import Campaign, CampaignState

_UNITS: Final = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def grouped(number: int | float) -> str:
    """12345678 as 12,345,678."""
    return f"{number:,}"


def moment(value: datetime, form: str = "long") -> Markup:
    """A time that the page's script writes in the reader's zone; UTC until then."""
    text = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(format_time(value), form, text)


def duration(seconds: float) -> str:
    """Seconds as somebody would say them."""
    if seconds < 90:
        return f"{max(1, round(seconds))} second{'' if round(seconds) <= 1 else 's'}"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{round(seconds / 3600, 1)} hours"


def size(count: int) -> str:
    """Bytes in the largest fitting unit."""
    for unit, width in _UNITS:
        if count >= width:
            return f"{count / width:.1f} {unit}"
    return f"{count} bytes"


def window_words(campaign: Campaign, now: datetime) -> str:
    """Where a campaign stands in its window."""
    match campaign.state:
        case CampaignState.SCHEDULED:
            return f"begins in {_days(campaign.starts_at - now)}"
        case CampaignState.ENDED:
            return f"ended {_days(now - campaign.ends_at)} ago"
        case CampaignState.ARCHIVED:
            return "archived"
        case _:
            return f"{_days(campaign.ends_at - now)} left of {_days(campaign.ends_at - campaign.starts_at)}"


def window_share(campaign: Campaign, now: datetime) -> float:
    """How much of the window is past, in percent."""
    whole = (campaign.ends_at - campaign.starts_at).total_seconds()
    return round(min(100.0, max(0.0, 100 * (now - campaign.starts_at).total_seconds() / whole)), 1)


def _days(span: Any) -> str:
    hours = span.total_seconds() / 3600
    if hours < 48:
        return f"{max(0, round(hours))} hours"
    return f"{round(hours / 24):,} days"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "grouped": grouped,
    "moment": moment,
    "duration": duration,
    "bytes": size,
}
