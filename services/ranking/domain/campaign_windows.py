"""A campaign's windows: its days in its own zone, and the day, week, month or whole that a board is of."""

from dataclasses import dataclass
from datetime import date, datetime

from services.ranking.domain.calendar import ONE_MICROSECOND, LocalDays, Period, Window, period_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignFacts:
    """What ranking needs to know of a campaign; its window is half-open."""

    id: str
    name: str
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime


class CampaignWindows:
    """What the facts of a campaign say of time."""

    def __init__(self, facts: CampaignFacts) -> None:
        self.facts = facts
        self.local_days = LocalDays(facts.time_zone)

    def update(self, facts: CampaignFacts) -> None:
        """Takes changed facts. The zone does not change once codes are out (`protocol.md`, rule 18)."""
        if facts.time_zone != self.facts.time_zone:
            self.local_days = LocalDays(facts.time_zone)
        self.facts = facts

    @property
    def first_day(self) -> date:
        return self.local_days.day_of(self.facts.starts_at)

    @property
    def last_day(self) -> date:
        return self.local_days.day_of(self.facts.ends_at - ONE_MICROSECOND)

    @property
    def whole(self) -> Period:
        """All days of the campaign, as they are certified."""
        return Period(window=Window.ALL, first_day=self.first_day, last_day=self.last_day)

    def today(self, now: datetime) -> date:
        return self.local_days.day_of(now)

    def period(self, window: Window, day: date | None, *, today: date) -> Period:
        """The window that holds the day. Without one, that of today, or of the campaign's last day once that is past."""
        if window is Window.ALL:
            last = date.max if day is None or day >= today else day
            return Period(window=window, first_day=self.first_day, last_day=last)
        return period_of(window, day or min(today, self.last_day), campaign_first_day=self.first_day)

    def periods_shown(self, today: date) -> list[Period]:
        """The windows of now, whose boards are always kept."""
        return [self.period(window, None, today=today) for window in Window]

    def bounds(self, period: Period) -> tuple[datetime, datetime]:
        """The moments at which the period begins and ends; for ALL, the campaign's own (or the end of a past day)."""
        if period.window is not Window.ALL:
            return self.local_days.starts_at(period.first_day), self.local_days.ends_at(period.last_day)
        if period.last_day >= self.last_day:
            return self.facts.starts_at, self.facts.ends_at
        return self.facts.starts_at, self.local_days.ends_at(period.last_day)
