"""When jobs are due. Times are of UTC; a report is of the day or week before it in each campaign's own zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

MADE_UP: Final = 7
"""Missed runs that are made up at most, the latest ones."""


class JobName(StrEnum):
    IDENTITY = "identity"
    DAILY_REPORT = "daily-report"
    WEEKLY_REPORT = "weekly-report"
    MAINTENANCE = "facts-maintenance"
    RETENTION = "retention"
    REBUILD = "rebuild"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Due every `every` from `first` on (any Monday, so that a week's runs fall on Mondays)."""

    every: timedelta
    first: datetime
    made_up: int = MADE_UP

    def latest(self, now: datetime) -> datetime:
        """The last moment at which a run was due."""
        return self.first + (now - self.first) // self.every * self.every

    def due(self, last_run: datetime | None, now: datetime) -> list[datetime]:
        """What is due now and was not run: after `last_run` up to now, oldest first; only the latest when nothing ever ran."""
        latest = self.latest(now)
        if last_run is None:
            return [latest]
        missed = min(self.made_up, max(0, (latest - last_run) // self.every))
        return [latest - n * self.every for n in reversed(range(missed))]

    def oldest_made_up(self, now: datetime) -> datetime:
        """Runs that were due before this moment are not made up any more."""
        return self.latest(now) - (self.made_up - 1) * self.every

    def on(self, day: date, now: datetime) -> datetime:
        """The run of a day: the last one that was due on it or before it, up to now. Raises ValueError for a day to come."""
        if day > now.date():
            raise ValueError(f"{day} has not come yet")
        return self.latest(min(now, datetime.combine(day, time(23, 59, 59), tzinfo=UTC)))


def _monday(hour: int, minute: int) -> datetime:
    return datetime(2024, 1, 1, hour, minute, tzinfo=UTC)


DAY: Final = timedelta(days=1)
SCHEDULES: Final = {
    JobName.IDENTITY: Schedule(every=timedelta(hours=1), first=_monday(0, 5), made_up=1),
    JobName.DAILY_REPORT: Schedule(every=DAY, first=_monday(13, 0)),
    JobName.WEEKLY_REPORT: Schedule(every=7 * DAY, first=_monday(13, 15)),
    JobName.MAINTENANCE: Schedule(every=DAY, first=_monday(3, 30), made_up=1),
    JobName.RETENTION: Schedule(every=DAY, first=_monday(4, 0), made_up=1),
}
"""Reports at 13:00: yesterday is over by then in every time zone, Pacific/Pago_Pago (UTC−11) included."""

MEANINGS: Final = {
    JobName.IDENTITY: "compares ledger, totals, facts and ranking, and that issued = outstanding + redeemed + void + expired",
    JobName.DAILY_REPORT: "delivers the report and performance.csv of yesterday, for each campaign that ran then",
    JobName.WEEKLY_REPORT: "delivers the report and performance.csv of last week, for each campaign that ran then",
    JobName.MAINTENANCE: "makes the next months' partitions, forgets players without redemptions, refreshes statistics",
    JobName.RETENTION: "detaches months of the ledger that are older than REPORTING_RETENTION_MONTHS",
    JobName.REBUILD: "counts everything again from the outcomes topic beside the live tables, then swaps (by hand only)",
}


def reported_days(job: JobName, due_at: datetime) -> tuple[date, date]:
    """The first and last day that a report of this run is about: yesterday, or Monday to Sunday of last week."""
    day = due_at.date()
    if job is JobName.WEEKLY_REPORT:
        monday = day - timedelta(days=day.weekday() + 7)
        return monday, monday + timedelta(days=6)
    return day - DAY, day - DAY
