"""Windows in a campaign's own days: which day a moment belongs to, and where a day, ISO week or month begins and ends."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
ONE_DAY: Final = timedelta(days=1)
ONE_MICROSECOND: Final = timedelta(microseconds=1)
QUARTER_US: Final = 900_000_000
_REGULAR_FROM: Final = (date(1972, 5, 1) - EPOCH.date()).days * 96
"""The first quarter of an hour since 1970 from which on each is of one local day, whatever the zone: since Liberia left
UTC-0:44:30, every zone's offset and every change of one is a multiple of a quarter of an hour."""
_REMEMBERED_QUARTERS: Final = 100_000


class Window(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One window: its days from the first to the last, both within. For ALL, the campaign's days or those up to a date."""

    window: Window
    first_day: date
    last_day: date


def period_of(window: Window, day: date, *, campaign_first_day: date) -> Period:
    """The window of this kind that holds the day; of ALL, everything up to the day."""
    match window:
        case Window.DAY:
            return Period(window=window, first_day=day, last_day=day)
        case Window.WEEK:
            monday = day - timedelta(days=day.weekday())
            return Period(window=window, first_day=monday, last_day=monday + timedelta(days=6))
        case Window.MONTH:
            first = day.replace(day=1)
            return Period(window=window, first_day=first, last_day=_last_day_of_month(first))
        case Window.ALL:
            return Period(window=window, first_day=min(campaign_first_day, day), last_day=day)


def period_before(period: Period) -> Period:
    """The window before this one, against which movement is shown; of ALL, everything up to the day before."""
    day = period.last_day if period.window is Window.ALL else period.first_day
    return period_of(period.window, day - ONE_DAY, campaign_first_day=period.first_day)


def microseconds_of(moment: datetime) -> int:
    """An aware moment in microseconds since 1970, exact (a float would not be)."""
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment_of(microseconds: int) -> datetime:
    """The moment of so many microseconds since 1970, in UTC."""
    return EPOCH + timedelta(microseconds=microseconds)


def is_of_one_day(moment_us: int) -> bool:
    """Whether the quarter of an hour of this moment (counted in UTC) belongs to one local day in every zone."""
    return moment_us // QUARTER_US >= _REGULAR_FROM


class LocalDays:
    """The days of a time zone. Remembers the days of the quarters of an hour that it was asked for."""

    def __init__(self, time_zone: str) -> None:
        self.zone = ZoneInfo(time_zone)
        self._day_of_quarter: dict[int, date] = {}

    def day_of(self, moment: datetime) -> date:
        """The local date of an aware moment."""
        return self.day_of_us(microseconds_of(moment))

    def day_of_us(self, moment_us: int) -> date:
        """The local date of a moment in microseconds since 1970."""
        quarter = moment_us // QUARTER_US
        day = self._day_of_quarter.get(quarter)
        return self._look_up(quarter, moment_us) if day is None else day

    def starts_at(self, day: date) -> datetime:
        """The first moment of a local day, in UTC (where the clock skips midnight, the moment of the change)."""
        return datetime.combine(day, time.min, tzinfo=self.zone).astimezone(UTC)

    def ends_at(self, day: date) -> datetime:
        """The moment at which the next local day begins, in UTC."""
        return self.starts_at(day + ONE_DAY)

    def _look_up(self, quarter: int, moment_us: int) -> date:
        day = moment_of(moment_us).astimezone(self.zone).date()
        if is_of_one_day(moment_us):
            if len(self._day_of_quarter) >= _REMEMBERED_QUARTERS:
                self._day_of_quarter.clear()
            self._day_of_quarter[quarter] = day
        return day


def _last_day_of_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1) - ONE_DAY
