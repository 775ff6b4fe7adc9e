"""Days, weeks and months of a campaign's own zone."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ranking.domain.calendar import (
    EPOCH,
    LocalDays,
    Window,
    microseconds_of,
    period_before,
    period_of,
)

START = date(2026, 1, 1)
any_moment = st.datetimes(timezones=st.just(UTC))
ZONES = ("America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo", "Africa/Cairo", "Africa/Monrovia")


@given(moment=any_moment.filter(lambda m: 1 < m.year < 9999), zone=st.sampled_from(ZONES))
def test_a_moment_belongs_to_the_day_that_its_zone_says(moment: datetime, zone: str) -> None:
    days = LocalDays(zone)
    for _ in range(2):
        assert days.day_of(moment) == moment.astimezone(ZoneInfo(zone)).date()


@given(moments=st.lists(st.integers(-5 * 10**8, 2 * 10**9).map(lambda s: EPOCH + timedelta(seconds=s)), max_size=30))
def test_remembered_days_do_not_leak_into_others(moments: list[datetime]) -> None:
    days = LocalDays("Africa/Monrovia")
    found = [days.day_of(moment) for moment in moments]
    assert found == [moment.astimezone(ZoneInfo("Africa/Monrovia")).date() for moment in moments]


@given(moment=any_moment)
def test_microseconds_are_exact(moment: datetime) -> None:
    assert EPOCH + timedelta(microseconds=microseconds_of(moment)) == moment


def test_a_day_of_25_hours_is_one_day() -> None:
    days = LocalDays("America/New_York")
    assert days.ends_at(date(2026, 11, 1)) - days.starts_at(date(2026, 11, 1)) == timedelta(hours=25)
    assert days.starts_at(date(2026, 11, 1)) == datetime(2026, 11, 1, 4, tzinfo=UTC)


def test_a_day_whose_midnight_is_skipped_begins_at_the_change() -> None:
    days = LocalDays("Africa/Cairo")
    start = days.starts_at(date(2026, 4, 24))
    assert days.day_of(start) == date(2026, 4, 24)
    assert days.day_of(start - timedelta(microseconds=1)) == date(2026, 4, 23)


def test_a_week_is_an_iso_week_also_across_years() -> None:
    week = period_of(Window.WEEK, date(2027, 1, 1), campaign_first_day=START)
    assert (week.first_day, week.last_day) == (date(2026, 12, 28), date(2027, 1, 3))


@pytest.mark.parametrize(
    ("window", "day", "before"),
    [
        (Window.DAY, date(2026, 3, 1), (date(2026, 2, 28), date(2026, 2, 28))),
        (Window.WEEK, date(2026, 3, 4), (date(2026, 2, 23), date(2026, 3, 1))),
        (Window.MONTH, date(2026, 3, 31), (date(2026, 2, 1), date(2026, 2, 28))),
        (Window.ALL, date(2026, 3, 31), (START, date(2026, 3, 30))),
    ],
)
def test_the_window_before(window: Window, day: date, before: tuple[date, date]) -> None:
    found = period_before(period_of(window, day, campaign_first_day=START))
    assert (found.first_day, found.last_day) == before
