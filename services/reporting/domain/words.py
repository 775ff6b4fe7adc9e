"""Figures and times as people read them, in charts, reports and mails."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from services.reporting.domain.periods import Period

_SMALL: Final = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")
THIN: Final = "\u202f"


def number(value: int) -> str:
    """12,345"""
    return f"{value:,}".replace("-", "\u2212")


def counted(value: int, one: str, many: str) -> str:
    """1 store, 12,345 stores"""
    return f"{number(value)} {one if value == 1 else many}"


def spelled(value: int) -> str:
    """Ten; figures above twelve."""
    return _SMALL[value] if 0 <= value < len(_SMALL) else number(value)


def percent(part: float, whole: float, *, digits: int | None = None) -> str:
    """41 %; with a decimal below ten, never 0 % of what is not nothing."""
    if whole <= 0:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return f"<0.1{THIN}%"
    places = digits if digits is not None else (1 if 0 < share < 9.95 else 0)
    if places == 0 and share < 100 and round(share) == 100:
        return f">99{THIN}%"
    return f"{share:.{places}f}{THIN}%"


def day(value: date) -> str:
    """22 Nov 2026"""
    return f"{value.day} {value:%b} {value.year}"


def short_day(value: date) -> str:
    """22 Nov"""
    return f"{value.day} {value:%b}"


def weekday(value: date) -> str:
    """Sunday 22 Nov"""
    return f"{value:%A} {short_day(value)}"


def days(first: date, last: date) -> str:
    """1–22 Nov 2026, 30 Oct – 2 Nov 2026, 22 Nov 2026"""
    if first == last:
        return day(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{day(last)}"
    if first.year == last.year:
        return f"{short_day(first)} – {day(last)}"
    return f"{day(first)} – {day(last)}"


def clock(moment: datetime) -> str:
    """22 Nov 2026, 14:02:07 EST (of the moment's own zone)"""
    return f"{day(moment)}, {moment:%H:%M:%S} {moment.tzname()}"


def span(period: Period, zone_of: datetime) -> str:
    """A period on the wall clock of the zone that a moment carries; whole days as days."""
    zone = zone_of.tzinfo
    start, end = period.starts_at.astimezone(zone), period.ends_at.astimezone(zone)
    if (start.hour, start.minute, start.second) == (end.hour, end.minute, end.second) == (0, 0, 0):
        return days(start.date(), end.date() - timedelta(days=1))
    return f"{day(start)}, {start:%H:%M} – {day(end)}, {end:%H:%M}"


def isolated(name: str) -> str:
    """A name within a sentence: one that runs from right to left must not turn the sentence around (UAX #9, FSI and PDI)."""
    return name if name.isascii() else f"\u2068{name}\u2069"


def listed(names: Sequence[str]) -> str:
    """a, b and c"""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
