"""When jobs are due, and which runs are made up."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reporting.domain.schedules import MADE_UP, MEANINGS, SCHEDULES, JobName, reported_days

NOW = datetime(2026, 11, 25, 16, 20, tzinfo=UTC)
moments = st.integers(1_750_000_000, 1_950_000_000).map(lambda n: datetime.fromtimestamp(n, UTC))


@given(moments, st.sampled_from(list(SCHEDULES)))
def test_the_latest_due_moment_is_past_and_less_than_a_turn_ago(now: datetime, job: JobName) -> None:
    schedule = SCHEDULES[job]
    assert timedelta() <= now - schedule.latest(now) < schedule.every


def test_reports_come_daily_and_on_mondays() -> None:
    assert SCHEDULES[JobName.DAILY_REPORT].latest(NOW) == datetime(2026, 11, 25, 13, tzinfo=UTC)
    weekly = SCHEDULES[JobName.WEEKLY_REPORT].latest(NOW)
    assert (weekly.weekday(), weekly.date()) == (0, date(2026, 11, 23))


def test_missed_runs_are_made_up_oldest_first_but_not_for_ever() -> None:
    daily = SCHEDULES[JobName.DAILY_REPORT]
    latest = daily.latest(NOW)
    assert daily.due(None, NOW) == [latest]
    assert daily.due(latest, NOW) == []
    assert daily.due(latest - timedelta(days=3), NOW) == [latest - timedelta(days=n) for n in (2, 1, 0)]
    assert len(daily.due(latest - timedelta(days=300), NOW)) == MADE_UP


def test_a_day_names_the_run_that_was_due_on_it() -> None:
    daily, weekly, hourly = (SCHEDULES[job] for job in (JobName.DAILY_REPORT, JobName.WEEKLY_REPORT, JobName.IDENTITY))
    assert daily.on(date(2026, 11, 20), NOW) == datetime(2026, 11, 20, 13, tzinfo=UTC)
    assert weekly.on(date(2026, 11, 20), NOW).date() == date(2026, 11, 16)
    assert hourly.on(date(2026, 11, 20), NOW) == datetime(2026, 11, 20, 23, 5, tzinfo=UTC)
    assert hourly.on(NOW.date(), NOW) == datetime(2026, 11, 25, 16, 5, tzinfo=UTC), "a timer that runs every hour"
    with pytest.raises(ValueError, match="has not come"):
        daily.on(date(2026, 11, 26), NOW)


def test_a_report_is_about_yesterday_or_last_week() -> None:
    assert reported_days(JobName.DAILY_REPORT, NOW) == (date(2026, 11, 24), date(2026, 11, 24))
    assert reported_days(JobName.WEEKLY_REPORT, NOW) == (date(2026, 11, 16), date(2026, 11, 22))


def test_every_job_says_what_it_does() -> None:
    assert set(MEANINGS) == set(JobName)
