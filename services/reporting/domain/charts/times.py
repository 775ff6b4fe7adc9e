"""Charts along time: days, hours of the week, refusals, codes left, days to redeem."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final, assert_never

from services.reporting.domain import words
from services.reporting.domain.campaigns import State
from services.reporting.domain.charts.base import ChartName, Heading, Scene
from services.reporting.domain.periods import days_between

Row = Mapping[str, Any]
Table = tuple[tuple[str, ...], list[tuple[Any, ...]]]

MOST_DAYS: Final = 120
MOST_WEEKS: Final = 120
REASONS: Final = 6
MOST_DAYS_TO_REDEEM: Final = 30
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Step(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def step_for(first: date, last: date) -> Step:
    """What a bar stands for, so that bars stay wide enough to be told apart."""
    length = (last - first).days + 1
    if length <= MOST_DAYS:
        return Step.DAY
    return Step.WEEK if length <= 7 * MOST_WEEKS else Step.MONTH


def begin_of(day: date, step: Step) -> date:
    match step:
        case Step.DAY:
            return day
        case Step.WEEK:
            return day - timedelta(days=day.weekday())
        case Step.MONTH:
            return day.replace(day=1)


def steps_between(first: date, last: date, step: Step) -> list[date]:
    return sorted({begin_of(day, step) for day in days_between(first, last)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Daily:
    """Redemptions less reversals by day (or longer step), and their running sum."""

    heading: Heading
    step: Step
    starts: tuple[date, ...]
    values: tuple[int, ...]
    running: tuple[int, ...]

    def table(self) -> Table:
        return (self.step.value, "redemptions", "in all"), list(zip(self.starts, self.values, self.running, strict=True))


def daily(scene: Scene, rows: Sequence[Row], first: date, last: date) -> Daily:
    """Every day from the first to the last, those without anything as 0."""
    by_day = {row["day"]: row["accepted"] - row["reversed"] for row in rows}
    first, last = _span([day for day, value in by_day.items() if value], first, last)
    step = step_for(first, last)
    sums: Counter[date] = Counter()
    for day, value in by_day.items():
        sums[begin_of(day, step)] += value
    starts = steps_between(first, last, step)
    values = tuple(sums[start] for start in starts)
    running, total = [], 0
    for value in values:
        total += value
        running.append(total)
    heading = scene.heading(ChartName.DAILY, _best(values, starts, step), f"Redemptions less reversals a {step}, and in all")
    return Daily(heading=heading, step=step, starts=tuple(starts), values=values, running=tuple(running))


def _best(values: Sequence[int], starts: Sequence[date], step: Step) -> str:
    if not any(values):
        return "No redemptions yet"
    redemptions = words.counted(sum(values), "redemption", "redemptions")
    if len(values) == 1:
        return f"{redemptions} {'on' if step is Step.DAY else 'in'} {_when(starts[0], step)}"
    best = max(range(len(values)), key=lambda n: values[n])
    return f"{redemptions}; the best {step} was {_when(starts[best], step)} with {words.number(values[best])}"


def _when(start: date, step: Step) -> str:
    match step:
        case Step.DAY:
            return words.weekday(start)
        case Step.WEEK:
            return f"the week of {words.day(start)}"
        case Step.MONTH:
            return f"{start:%B %Y}"
    assert_never(step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """Redemptions less reversals by weekday (Monday first) and hour."""

    heading: Heading
    cells: tuple[tuple[int, ...], ...]

    def table(self) -> Table:
        hours = [(f"{hour:02}:00", *(values[hour] for values in self.cells)) for hour in range(24)]
        return ("hour", *WEEKDAYS), hours


def heatmap(scene: Scene, rows: Iterable[Row]) -> Heatmap:
    cells = [[0] * 24 for _ in range(7)]
    for row in rows:
        cells[row["weekday"] - 1][row["hour"]] += row["redeemed"]
    total = sum(map(sum, cells))
    headline = "No redemptions yet"
    if total > 0:
        weekday, hour = max(((d, h) for d in range(7) for h in range(24)), key=lambda at: cells[at[0]][at[1]])
        headline = f"The busiest hour is {WEEKDAYS[weekday]}, {hour:02}:00 to {(hour + 1) % 24:02}:00, with "
        headline += f"{words.percent(cells[weekday][hour], total)} of redemptions"
    heading = scene.heading(ChartName.HEATMAP, headline, "Redemptions less reversals by weekday and hour")
    return Heatmap(heading=heading, cells=tuple(tuple(line) for line in cells))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    label: str
    values: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Refused requests by reason and day (or longer step), the commonest reason first."""

    heading: Heading
    step: Step
    starts: tuple[date, ...]
    reasons: tuple[Reason, ...]

    def table(self) -> Table:
        columns = (self.step.value, *(reason.label for reason in self.reasons))
        return columns, [(start, *(r.values[n] for r in self.reasons)) for n, start in enumerate(self.starts)]


REASONS_IN_WORDS: Final = {
    "ALREADY_REDEEMED": "Already redeemed",
    "CODE_VOID": "Void",
    "CAMPAIGN_PAUSED": "Paused",
    "EVENT_TIME_OUT_OF_RANGE": "Time out of range",
    "NOT_YET_ACTIVE": "Not yet active",
    "EXPIRED": "Expired",
    "WRONG_GAME": "Wrong game",
    "REGION_NOT_ALLOWED": "Wrong region",
    "PLAYER_LIMIT_REACHED": "Player's limit",
    "STORE_LIMIT_REACHED": "Store's limit",
    "CAMPAIGN_LIMIT_REACHED": "Campaign's limit",
    "EVENT_ID_REUSED": "Event used twice",
    "REDEMPTION_REVERSED": "Reversed before",
    "NOTHING_TO_REVERSE": "Nothing to reverse",
    "REVERSAL_TOO_LATE": "Reversal too late",
}


def outcomes(scene: Scene, rows: Sequence[Row], first: date, last: date) -> Outcomes:
    """Refusals outside the days shown (of events with wild times) are left to the table of rejections."""
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row["outcome"]] += row["rejected"]
    near = [row for row in rows if first - timedelta(days=7) <= row["day"] <= last + timedelta(days=7)]
    first, last = _span([row["day"] for row in near], first, last)
    step = step_for(first, last)
    starts = steps_between(first, last, step)
    common = [name for name, _ in sorted(totals.items(), key=lambda item: (-item[1], item[0]))]
    shown, rest = (common, []) if len(common) <= REASONS + 1 else (common[:REASONS], common[REASONS:])
    sums: dict[str, Counter[date]] = defaultdict(Counter)
    for row in near:
        sums["" if row["outcome"] in rest else row["outcome"]][begin_of(row["day"], step)] += row["rejected"]
    labels = [(name, REASONS_IN_WORDS.get(name, name)) for name in shown]
    labels += [("", f"{len(rest)} other reasons")] if rest else []
    reasons = tuple(Reason(label=label, values=tuple(sums[name][start] for start in starts)) for name, label in labels)
    total = sum(totals.values())
    headline = "No request was refused"
    if total:
        first_reason = REASONS_IN_WORDS.get(common[0], common[0]).lower()
        headline = f"{words.counted(total, 'request', 'requests')} refused; most often: {first_reason} "
        headline += f"({words.percent(totals[common[0]], total)})"
    heading = scene.heading(ChartName.OUTCOMES, headline, f"Refused requests a {step}, by reason")
    return Outcomes(heading=heading, step=step, starts=tuple(starts), reasons=reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnDown:
    """Codes that can still be redeemed at the end of each day; `expected`: at the end, at the last week's pace."""

    heading: Heading
    days: tuple[date, ...]
    left: tuple[int, ...]
    ends_on: date
    expected: int | None

    def table(self) -> Table:
        return ("day", "codes left"), list(zip(self.days, self.left, strict=True))


def burn_down(
    scene: Scene, rows: Sequence[Row], changes: Mapping[date, int], first: date, today: date, ends_on: date
) -> BurnDown:
    """`rows`: redemptions by day. `changes`: codes published (+) and made void (−) by day."""
    gone = {row["day"]: row["accepted"] - row["reopened"] for row in rows}
    last = min(today, ends_on)
    first = min([first, last, *(day for day in changes if day <= last)])
    left = sum(n for day, n in changes.items() if day < first) - sum(n for day, n in gone.items() if day < first)
    days, values = days_between(first, last), []
    for day in days:
        left += changes.get(day, 0) - gone.get(day, 0)
        values.append(max(0, left))
    pace = sum(gone.get(day, 0) for day in days[-7:]) / min(7, len(days))
    over = scene.campaign.state(scene.now) in (State.ENDED, State.ARCHIVED)
    expected = max(0, round(values[-1] - pace * (ends_on - last).days)) if ends_on > last and values[-1] and not over else None
    headline = f"{words.counted(values[-1], 'code is', 'codes are')} left" if values[-1] else "No code is left"
    if over:
        left_over = words.counted(values[-1], "code was", "codes were") if values[-1] else "No code was"
        headline = f"{left_over} left when the campaign ended"
    if not any(changes.values()):
        headline = "No codes were published yet"
    elif expected is not None:
        headline += f"; at the last week's pace {words.number(expected)} will be left on {words.day(ends_on)}"
    heading = scene.heading(ChartName.BURN_DOWN, headline, "Codes that can still be redeemed, at the end of each day")
    return BurnDown(heading=heading, days=tuple(days), left=tuple(values), ends_on=ends_on, expected=expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysToRedeem:
    """Redemptions by whole days since their batch was published; the last value is of `MOST_DAYS_TO_REDEEM` and more."""

    heading: Heading
    values: tuple[int, ...]
    median: int | None

    def table(self) -> Table:
        return ("days", "redemptions"), [
            (f"{n} and more" if n == MOST_DAYS_TO_REDEEM else n, value) for n, value in enumerate(self.values)
        ]


def days_to_redeem(scene: Scene, rows: Sequence[Row]) -> DaysToRedeem:
    values = [0] * (MOST_DAYS_TO_REDEEM + 1)
    for row in rows:
        values[min(MOST_DAYS_TO_REDEEM, row["days"])] += row["redeemed"]
    total, seen, median = sum(values), 0, None
    for row in sorted(rows, key=lambda row: row["days"]):
        seen += row["redeemed"]
        if median is None and 2 * seen >= total:
            median = row["days"]
    headline = "No redemptions yet"
    if median is not None:
        headline = (
            f"Half of the redeemed codes were redeemed within {words.counted(median + 1, 'day', 'days')} of being published"
        )
    heading = scene.heading(ChartName.DAYS_TO_REDEEM, headline, "Redemptions by days since their batch was published")
    return DaysToRedeem(heading=heading, values=tuple(values), median=median)


def _span(days: Sequence[date], first: date, last: date) -> tuple[date, date]:
    """The days to show: as asked, and wider where there is something beyond."""
    return min([first, *days]), max([last, *days])
