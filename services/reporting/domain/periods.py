"""Periods and hours in a campaign's time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from shared.contracts.codec import parse_time

LONGEST: Final = timedelta(days=3660)
"""Ten years: more than any campaign, less than what would keep a server busy for nothing."""

HOUR_SECONDS: Final = 3600
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class InvalidPeriod(ValueError):  # noqa: N818 (the field's own word)
    """A period that cannot be answered. `field` is the parameter to change, the text says how."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A half-open span of time."""

    starts_at: datetime
    ends_at: datetime

    @property
    def length(self) -> timedelta:
        return self.ends_at - self.starts_at

    def before(self) -> "Period":
        """The equally long period that ends where this one starts."""
        return Period(starts_at=self.starts_at - self.length, ends_at=self.starts_at)


def read_period(
    since: str | None, until: str | None, *, zone: ZoneInfo, campaign_starts_at: datetime, now: datetime
) -> Period | None:
    """The period that two parameters name, None when neither is given (ever).

    A date means that whole day in the zone: its start for `since`, its end for `until`. An open start is the campaign's, an
    open end is now. Raises InvalidPeriod for an unreadable text, a start that is not before the end, and over ten years.
    """
    if since is None and until is None:
        return None
    starts_at = _read("from", since, zone) if since is not None else None
    ends_at = _read("to", until, zone) if until is not None else None
    if starts_at is None:
        starts_at = min(campaign_starts_at, ends_at - timedelta(hours=1)) if ends_at else campaign_starts_at
    if ends_at is None:
        ends_at = max(now, starts_at + timedelta(hours=1))
    if starts_at >= ends_at:
        raise InvalidPeriod("from", "must be before `to`")
    if ends_at - starts_at > LONGEST:
        raise InvalidPeriod("to", f"must be at most {LONGEST.days} days after `from`")
    return Period(starts_at=starts_at, ends_at=ends_at)


def days_of(period: Period, zone: tzinfo) -> tuple[date, date]:
    """The days of the zone that a period touches: the first, and the one after the last."""
    last = local_day(period.ends_at - timedelta(microseconds=1), zone)
    return local_day(period.starts_at, zone), last + timedelta(days=1)


def require_whole_hours(period: Period | None, zone: ZoneInfo) -> None:
    """Raises InvalidPeriod when a bound is not the start of an hour of the zone: hourly facts cannot be cut."""
    if period is None:
        return
    for field, moment in (("from", period.starts_at), ("to", period.ends_at)):
        if hour_of(moment, zone).starts_at != moment:
            raise InvalidPeriod(field, "must be on the hour of the campaign's time zone")


def _read(field: str, text: str, zone: ZoneInfo) -> datetime:
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            moment = day_start(day + timedelta(days=1) if field == "to" else day, zone)
        else:
            moment = parse_time(text.replace(" ", "+"))
    except (ValueError, OverflowError):
        message = "must be a date like 2026-11-01 or a time like 2026-11-01T05:00:00Z"
        raise InvalidPeriod(field, message) from None
    if not datetime(1971, 1, 1, tzinfo=UTC) <= moment <= datetime(9000, 1, 1, tzinfo=UTC):
        raise InvalidPeriod(field, "must be after the year 1970 and before the year 9000")
    return moment


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of a zone's wall clock: the instant it starts at, and the zone's offset from UTC in seconds."""

    starts_at: datetime
    utc_offset: int


def hour_of(moment: datetime, zone: tzinfo) -> Hour:
    """The hour of the zone that a moment lies in. Zones off the whole hour have their own hours; so has each side of a change.

    A time so wild that the zone cannot place it (years 1 and 9999) is placed in UTC.
    """
    try:
        offset = moment.astimezone(zone).utcoffset() or timedelta()
    except OverflowError:
        offset = timedelta()
    shift = offset.days * 86_400 + offset.seconds
    since_epoch = moment - _EPOCH
    seconds = since_epoch.days * 86_400 + since_epoch.seconds
    past_the_hour = (seconds + shift) % HOUR_SECONDS
    try:
        starts_at = moment - timedelta(seconds=past_the_hour, microseconds=moment.microsecond)
    except OverflowError:
        starts_at = moment
    return Hour(starts_at, shift)


def day_of(hour: Hour) -> date:
    """The day on the zone's wall clock that an hour belongs to."""
    try:
        return (hour.starts_at + timedelta(seconds=hour.utc_offset)).date()
    except OverflowError:
        return hour.starts_at.date()


def day_start(day: date, zone: tzinfo) -> datetime:
    """The instant at which a day begins in the zone (where midnight is skipped by a change, the first instant after it)."""
    local = datetime.combine(day, time(), tzinfo=zone)
    return local.astimezone(UTC)


def local_day(moment: datetime, zone: tzinfo) -> date:
    """The zone's day at a moment."""
    return day_of(hour_of(moment, zone))


def days_between(first: date, last: date) -> list[date]:
    """All days from the first to the last, both within."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
