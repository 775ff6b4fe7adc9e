"""Hours, days and periods in a campaign's zone."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reporting.domain.periods import (
    InvalidPeriod,
    Period,
    day_of,
    days_of,
    hour_of,
    read_period,
    require_whole_hours,
)

NEW_YORK = ZoneInfo("America/New_York")
ZONES = [ZoneInfo(name) for name in ("America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC", "Pacific/Apia")]
START = datetime(2026, 10, 20, 4, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 19, tzinfo=UTC)


def period(since: str | None, until: str | None, zone: ZoneInfo = NEW_YORK) -> Period | None:
    return read_period(since, until, zone=zone, campaign_starts_at=START, now=NOW)


@given(st.integers(-600_000_000, 3_800_000_000).map(lambda n: datetime.fromtimestamp(n, UTC)), st.sampled_from(ZONES))
def test_an_hour_begins_on_the_wall_clocks_hour_and_holds_its_moment(moment: datetime, zone: ZoneInfo) -> None:
    hour = hour_of(moment, zone)
    assert timedelta() <= moment - hour.starts_at < timedelta(hours=1)
    local = hour.starts_at + timedelta(seconds=hour.utc_offset)
    assert (local.minute, local.second, local.microsecond) == (0, 0, 0)
    assert day_of(hour) == moment.astimezone(zone).date()


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    first, second = (hour_of(datetime(2026, 11, 1, h, 30, tzinfo=UTC), NEW_YORK) for h in (5, 6))
    assert (first.utc_offset, second.utc_offset) == (-4 * 3600, -5 * 3600)
    assert second.starts_at - first.starts_at == timedelta(hours=1)
    assert day_of(first) == day_of(second) == date(2026, 11, 1)


def test_a_wild_time_is_placed_somewhere_without_an_error() -> None:
    for moment in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        for zone in ZONES:
            day_of(hour_of(moment, zone))


def test_a_date_means_the_whole_day_of_the_zone() -> None:
    found = period("2026-11-01", "2026-11-01")
    assert found is not None
    assert found.starts_at == datetime(2026, 11, 1, 4, tzinfo=UTC)
    assert found.length == timedelta(hours=25), "clocks go back on that day"


def test_open_ends_are_the_campaigns_start_and_now() -> None:
    assert period(None, None) is None
    assert period("2026-11-01", None) == Period(starts_at=datetime(2026, 11, 1, 4, tzinfo=UTC), ends_at=NOW)
    assert period(None, "2026-11-01T00:00:00Z") == Period(starts_at=START, ends_at=datetime(2026, 11, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("since", "until", "first", "last"),
    [
        ("2026-11-01", "2026-11-01", 1, 1),
        ("2026-11-01", "2026-11-03T04:59:59Z", 1, 2),
        ("2026-11-01T12:00:00Z", "2026-11-03T05:00:01Z", 1, 3),
        ("2026-11-20", None, 20, 22),
    ],
)
def test_a_period_touches_the_days_that_it_begins_and_ends_within(since: str, until: str | None, first: int, last: int) -> None:
    found = period(since, until)
    assert found is not None
    assert days_of(found, NEW_YORK) == (date(2026, 11, first), date(2026, 11, last + 1))


def test_a_plus_in_an_address_that_became_a_blank_is_read() -> None:
    found = period("2026-11-01T00:00:00 01:00", "2026-11-02")
    assert found is not None
    assert found.starts_at == datetime(2026, 10, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "field"),
    [
        ("2026-11-02", "2026-11-01", "from"),
        ("2026-11-02T00:00:00Z", "2026-11-02T00:00:00Z", "from"),
        ("2006-11-02", "2026-11-01", "to"),
        ("1926-01-01", None, "from"),
        ("9999-01-01", None, "from"),
        ("2026-13-01", None, "from"),
        ("2026-11-01T00:00:00", None, "from"),
        (None, "soon", "to"),
    ],
)
def test_a_period_that_cannot_be_answered_names_its_field(since: str | None, until: str | None, field: str) -> None:
    with pytest.raises(InvalidPeriod) as error:
        period(since, until)
    assert error.value.field == field


def test_a_bound_within_an_hour_of_the_zone_is_refused_where_hours_cannot_be_cut() -> None:
    kathmandu = ZoneInfo("Asia/Kathmandu")
    require_whole_hours(period("2026-11-01", "2026-11-02", kathmandu), kathmandu)
    require_whole_hours(None, kathmandu)
    with pytest.raises(InvalidPeriod):
        require_whole_hours(period("2026-11-01T00:00:00Z", "2026-11-02", kathmandu), kathmandu)
