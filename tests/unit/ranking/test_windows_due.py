"""Which windows are certified: all that ended, but no endless row of empty ones."""

from datetime import UTC, date, datetime, timedelta

from services.ranking.domain.calendar import Period, Window
from services.ranking.domain.campaign_windows import CampaignFacts
from services.ranking.domain.campaigns import CampaignBoards
from services.ranking.domain.certificates import windows_due
from services.ranking.domain.roster import Roster, StoreIndex
from services.ranking.domain.scores import DayScore, totals_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATE = timedelta(hours=24)


def campaign_of(starts_at: datetime, created_at: datetime) -> CampaignBoards:
    facts = CampaignFacts(
        id="spring",
        name="Spring",
        time_zone="Europe/Paris",
        starts_at=starts_at,
        ends_at=datetime(2030, 1, 1, tzinfo=UTC),
        created_at=created_at,
    )
    index = StoreIndex()
    index.number("s-1")
    return CampaignBoards(facts, Roster(index))


def due(campaign: CampaignBoards) -> list[Period]:
    return [period for period, _ in windows_due(campaign, NOW, LATE)]


def days_of(periods: list[Period]) -> list[date]:
    return [period.first_day for period in periods if period.window is Window.DAY]


def test_each_day_week_and_month_that_ended_a_day_ago_is_due() -> None:
    periods = due(campaign_of(NOW - timedelta(days=30), NOW - timedelta(days=31)))
    assert days_of(periods) == [date(2026, 10, 23) + timedelta(days=n) for n in range(29)]
    assert [p.first_day for p in periods if p.window is Window.MONTH] == [date(2026, 10, 1)]
    assert [p.first_day for p in periods if p.window is Window.WEEK][-1] == date(2026, 11, 9)


def test_a_campaign_that_is_said_to_have_begun_long_ago_is_certified_from_a_year_before_it_was_entered() -> None:
    campaign = campaign_of(datetime(1970, 1, 1, tzinfo=UTC), NOW - timedelta(days=2))
    days = days_of(due(campaign))
    assert days[0] == date(2025, 11, 19)
    assert len(days) == 366 + 1


def test_what_was_counted_is_certified_however_old_it_is() -> None:
    campaign = campaign_of(datetime(1970, 1, 1, tzinfo=UTC), NOW - timedelta(days=2))
    first = date(2024, 2, 29)
    campaign.add_day(first, totals_of([(0, DayScore(redemptions=1, reversals=0, reached_at=NOW))]))
    assert days_of(due(campaign))[0] == first
