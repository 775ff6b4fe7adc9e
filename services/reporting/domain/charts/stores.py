"""Charts that compare stores: the top, shares, ranks over time, rates."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from services.reporting.domain import words
from services.reporting.domain.charts.base import ChartName, Heading, Scene

Row = Mapping[str, Any]
Table = tuple[tuple[str, ...], list[tuple[Any, ...]]]

TOP: Final = 12
GROUPS: Final = 6
RANKED: Final = 10
MOST_RANK_DAYS: Final = 100
BINS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    label: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TopStores:
    """The best stores; `more` others share `more_total`."""

    heading: Heading
    bars: tuple[Bar, ...]
    more: int
    more_total: int

    def table(self) -> Table:
        rows: list[tuple[Any, ...]] = [(n, bar.label, bar.value) for n, bar in enumerate(self.bars, 1)]
        if self.more:
            rows.append(("", f"{words.number(self.more)} more", self.more_total))
        return ("position", "store", "redemptions"), rows


def top_stores(scene: Scene, performance: Sequence[Row]) -> TopStores:
    """Stores by score, the one that reached it first before the others; hidden, test and unranked ones left out."""
    ranked = in_order(performance)
    total = sum(row["score"] for row in ranked)
    top, rest = ranked[:TOP], ranked[TOP:]
    headline = "No redemptions yet"
    if rest:
        best = ranked[:10]
        headline = f"{words.spelled(len(best))} of {words.counted(len(ranked), 'store', 'stores')} made "
        headline += f"{words.percent(sum(row['score'] for row in best), total)} of redemptions"
    elif len(ranked) == 1:
        headline = f"{words.isolated(label_of(ranked[0]))} made all {words.counted(total, 'redemption', 'redemptions')}"
    elif ranked:
        headline = f"{words.isolated(label_of(ranked[0]))} leads with {words.number(ranked[0]['score'])} of "
        headline += words.counted(total, "redemption", "redemptions")
    return TopStores(
        heading=scene.heading(ChartName.TOP_STORES, headline, "Redemptions less reversals, by store"),
        bars=tuple(Bar(label=label_of(row), value=row["score"]) for row in top),
        more=len(rest),
        more_total=sum(row["score"] for row in rest),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Parts of the whole, largest first; the last may stand for `others` groups together."""

    heading: Heading
    bars: tuple[Bar, ...]
    others: int
    total: int

    def table(self) -> Table:
        return ("group", "redemptions", "share"), [
            (bar.label, bar.value, f"{round(100 * bar.value / self.total, 3):g}%") for bar in self.bars
        ]


def share(scene: Scene, performance: Sequence[Row], *, by: str) -> Share:
    """Redemptions of chains or regions (`by`) among all; stores without one together."""
    sums: dict[str, int] = defaultdict(int)
    for row in performance:
        if row["score"] > 0 and not row["unlisted"]:
            sums[row[by] or f"Stores without a {by}"] += row["score"]
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    total = sum(sums.values())
    shown, rest = (ordered, []) if len(ordered) <= GROUPS + 1 else (ordered[:GROUPS], ordered[GROUPS:])
    bars = [Bar(label=name, value=value) for name, value in shown]
    if rest:
        bars.append(Bar(label=f"{words.number(len(rest))} others", value=sum(value for _, value in rest)))
    headline = "No redemptions yet"
    if ordered:
        name, value = ordered[0]
        shown_name = words.isolated(name)
        headline = f"{shown_name} made {words.percent(value, total)} of redemptions"
        if len(ordered) == 1:
            headline = f"All redemptions: {shown_name}"
    heading = scene.heading(ChartName.SHARE, headline, f"Redemptions less reversals, by {by}")
    return Share(heading=heading, bars=tuple(bars), others=len(rest), total=total)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankLine:
    """A store's rank at the end of each day; None while it has none. `score` is the last day's."""

    label: str
    ranks: tuple[int | None, ...]
    score: int
    marked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RankHistory:
    """Ranks at the end of each of `days`, which are a day or, over a long time, a week apart."""

    heading: Heading
    days: tuple[date, ...]
    lines: tuple[RankLine, ...]
    more: int

    def table(self) -> Table:
        columns = ("day", *(line.label for line in self.lines))
        return columns, [(day, *(line.ranks[n] for line in self.lines)) for n, day in enumerate(self.days)]


def rank_history(
    scene: Scene, performance: Sequence[Row], store_days: Sequence[Row], days: Sequence[date], marked: Sequence[str] | None
) -> RankHistory:
    """Ranks by the score summed from the first day on, of the ten best at the end, or of those marked and the best.

    Over more than a hundred days the end of each week is shown, the last day being the last one's.
    """
    step, days = ("week", days[::-1][::7][::-1]) if len(days) > MOST_RANK_DAYS else ("day", days)
    ranked = in_order(performance)
    shown = [row for row in ranked if marked and row["store_id"] in marked][:RANKED]
    shown = sorted([*shown, *[row for row in ranked if row not in shown][: RANKED - len(shown)]], key=lambda row: row["rank"])
    listed = {row["store_id"] for row in performance if not row["unlisted"]}
    gains: dict[date, dict[str, int]] = defaultdict(dict)
    for row in store_days:
        if row["store_id"] in listed:
            gains[row["day"]][row["store_id"]] = row["score"]
    ranks = _daily_ranks([row["store_id"] for row in shown], gains, days)
    lines = tuple(
        RankLine(
            label=label_of(row),
            ranks=tuple(ranks[row["store_id"]]),
            score=row["score"],
            marked=bool(marked and row["store_id"] in marked),
        )
        for row in shown
    )
    return RankHistory(
        heading=scene.heading(
            ChartName.RANK_HISTORY, _movement(lines, step), f"Rank at the end of each {step}, all redemptions so far"
        ),
        days=tuple(days),
        lines=lines,
        more=max(0, len(ranked) - len(lines)),
    )


def _daily_ranks(
    shown: Sequence[str], gains: Mapping[date, Mapping[str, int]], days: Sequence[date]
) -> dict[str, list[int | None]]:
    scores: dict[str, int] = defaultdict(int)
    early = [day for day in gains if days and day < days[0]]
    for day in early:
        for store, gain in gains[day].items():
            scores[store] += gain
    ranks: dict[str, list[int | None]] = {store: [] for store in shown}
    left = sorted((day for day in gains if days and day >= days[0]), reverse=True)
    for day in days:
        while left and left[-1] <= day:
            for store, gain in gains[left.pop()].items():
                scores[store] += gain
        ordered = sorted((score for score in scores.values() if score > 0), reverse=True)
        first_with = {score: place for place, score in reversed(list(enumerate(ordered, 1)))}
        for store in shown:
            ranks[store].append(first_with.get(scores[store]))
    return ranks


def _movement(lines: Sequence[RankLine], step: str) -> str:
    if not lines:
        return "No ranks yet"
    leader = lines[0]
    led = 0
    for rank in reversed(leader.ranks):
        if rank != 1:
            break
        led += 1
    if led <= 1 or led == len(leader.ranks):
        return f"{words.isolated(leader.label)} leads"
    return f"{words.isolated(leader.label)} has led for {words.counted(led, step, f'{step}s')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How many stores redeemed which part of their codes: bins of equal width from 0. `here` is the store asked about."""

    heading: Heading
    bin_width: float
    bins: tuple[int, ...]
    median: float | None
    here: tuple[str, float] | None

    def table(self) -> Table:
        rows: list[tuple[Any, ...]] = [
            (f"{100 * n * self.bin_width:.4g}%", f"{100 * (n + 1) * self.bin_width:.4g}%", count)
            for n, count in enumerate(self.bins)
        ]
        return ("from", "to", "stores"), rows


def rates(scene: Scene, performance: Sequence[Row], here: str | None) -> Rates:
    """Redeemed ÷ issued of the stores that were issued codes."""
    issued = [row for row in performance if row["issued"] > 0 and not row["unlisted"]]
    values = sorted(min(1.0, row["redeemed"] / row["issued"]) for row in issued)
    width = _bin_width(values[-1] if values else 0.0)
    bins = [0] * max(1, min(BINS, int((values[-1] if values else 0) / width) + 1))
    for value in values:
        bins[min(len(bins) - 1, int(value / width + 1e-9))] += 1
    median = values[len(values) // 2] if values else None
    mine = next((row for row in issued if row["store_id"] == here), None)
    headline = "No codes were issued yet"
    if mine is not None:
        below = sum(value < mine["redeemed"] / mine["issued"] for value in values)
        headline = (
            f"{words.isolated(label_of(mine))} redeems more of its codes than {words.percent(below, len(values))} of stores"
        )
    elif median is not None and len(values) == 1:
        headline = f"{words.isolated(label_of(issued[0]))} redeemed {words.percent(median, 1)} of its codes"
    elif median is not None:
        headline = f"Half of {words.counted(len(values), 'store', 'stores')} redeemed "
        headline += f"{words.percent(median, 1)} of their codes or more"
    return Rates(
        heading=scene.heading(ChartName.RATES, headline, "Redeemed ÷ issued, stores by rate"),
        bin_width=width,
        bins=tuple(bins),
        median=median,
        here=(label_of(mine), min(1.0, mine["redeemed"] / mine["issued"])) if mine is not None else None,
    )


def _bin_width(highest: float) -> float:
    for width in (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05):
        if highest <= width * BINS:
            return width
    return 0.05


def in_order(performance: Sequence[Row]) -> list[Row]:
    """The ranked stores in their order: score, then who reached it first, then the id."""
    ranked = [row for row in performance if row["rank"] is not None]
    return sorted(ranked, key=lambda row: (-row["score"], row["reached_at"].timestamp(), row["store_id"]))


def label_of(row: Row) -> str:
    return str(row["store_name"] or row["store_id"])
