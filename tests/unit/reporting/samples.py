"""Data for every chart in every shape that look.md asks for: none, one row, an outlier, 5,000 rows, names of all kinds."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.reporting.domain.campaigns import KnownCampaign
from services.reporting.domain.charts import stores as s
from services.reporting.domain.charts import times as t
from services.reporting.domain.charts.base import ChartName, Scene
from services.reporting.domain.periods import days_between
from services.reporting.domain.report import REPORT_CHARTS, Report, report
from services.reporting.render.charts.drawing import AnyChart

NAMES = [
    "Main Street",
    "Ελλάδα, Αθήνα",
    "متجر الرياض (مول)",
    "חנות ספרים תל אביב",
    "東京 渋谷",
    "스타필드 하남",
    "Каштан & Шоколад",
    "Playtime Superstore at the Far End of the Longest Shopping Street of All",
]
CAMPAIGN = KnownCampaign(
    id="spring",
    name="Spring 2026",
    starts_at=datetime(2026, 10, 20, 4, tzinfo=UTC),
    ends_at=datetime(2026, 12, 1, 5, tzinfo=UTC),
    time_zone="America/New_York",
    paused=False,
    archived=False,
)
NOW = datetime(2026, 11, 22, 19, 2, 7, tzinfo=UTC)
FIRST, LAST = date(2026, 10, 20), date(2026, 11, 22)
SCENE = Scene(campaign=CAMPAIGN, period=None, now=NOW.astimezone(CAMPAIGN.zone), as_of=NOW)


@dataclass(frozen=True, kw_only=True)
class Shape:
    stores: int
    outlier: bool = False
    days: int = 34


SHAPES = {
    "none": Shape(stores=0, days=0),
    "one": Shape(stores=1, days=1),
    "some": Shape(stores=8),
    "outlier": Shape(stores=30, outlier=True),
    "many": Shape(stores=5000),
    "years": Shape(stores=40, days=900),
}


def performance(shape: Shape) -> list[dict[str, Any]]:
    chance = random.Random(shape.stores)
    rows: list[dict[str, Any]] = []
    for n in range(shape.stores):
        score = int(2 + 900 * chance.random() ** 3)
        if shape.outlier and n == 0:
            score = 180_000
        issued = 1000 if not shape.outlier or n else 400_000
        rows.append(
            {
                "store_id": f"s-{n:04}",
                "store_name": NAMES[n % len(NAMES)] + (f" {n}" if n >= len(NAMES) else ""),
                "chain": chance.choice(["playtime", "toyland", "arcade", "東京ゲーム", None]),
                "region": f"US-{n % 23:02}",
                "issued": issued,
                "redeemed": min(issued, score),
                "score": score,
                "reached_at": NOW,
                "unlisted": False,
                "rank": 0,
            }
        )
    for place, row in enumerate(sorted(rows, key=lambda row: -row["score"]), 1):
        row["rank"] = place
    return rows


def day_rows(shape: Shape) -> list[dict[str, Any]]:
    chance = random.Random(7)
    days = days_between(LAST - timedelta(days=shape.days - 1), LAST) if shape.days else []
    rows = []
    for n, day in enumerate(days):
        accepted = int((400 + 300 * (day.weekday() >= 5)) * (0.4 + chance.random()) * (1 - 0.5 * n / len(days))) * (
            60 if shape.outlier and n == 20 else 1
        )
        rows.append({"day": day, "accepted": accepted, "reversed": accepted // 40, "reopened": accepted // 80})
    return rows


def first_day(shape: Shape) -> date:
    return LAST - timedelta(days=max(0, shape.days - 1))


def _rank_history(shape: Shape) -> AnyChart:
    chance = random.Random(3)
    rows = performance(shape)
    days = days_between(first_day(shape), LAST)
    left = {row["store_id"]: row["score"] for row in rows}
    store_days = []
    for n, day in enumerate(days):
        for store, rest in list(left.items()):
            gain = rest if n == len(days) - 1 else int(rest * chance.random() ** 2 * 2 / (len(days) - n + 1))
            if gain:
                left[store] -= gain
                store_days.append({"store_id": store, "day": day, "score": gain})
    return s.rank_history(SCENE, rows, store_days, days, None)


def _outcomes(shape: Shape) -> AnyChart:
    chance = random.Random(5)
    names = [*t.REASONS_IN_WORDS][:9]
    rows = [
        {"day": row["day"], "outcome": name, "rejected": int(60 * chance.random() / (n + 1)) + (n == 0)}
        for row in day_rows(shape)
        for n, name in enumerate(names)
    ]
    return t.outcomes(SCENE, rows, first_day(shape), LAST)


def _burn_down(shape: Shape) -> AnyChart:
    rows = day_rows(shape)
    changes = {row["day"]: 40_000 for row in rows[:1]}
    if len(rows) > 10:
        changes[rows[9]["day"]] = -3_000
    return t.burn_down(SCENE, rows, changes, first_day(shape), LAST, date(2026, 12, 1))


def _days_to_redeem(shape: Shape) -> AnyChart:
    rows = [{"days": n, "redeemed": int(9000 / (1 + n) ** 1.2) + 1} for n in range(min(60, shape.days))]
    return t.days_to_redeem(SCENE, rows)


def _heatmap(shape: Shape) -> AnyChart:
    chance = random.Random(9)
    rows = [
        {"weekday": d, "hour": h, "redeemed": int(chance.random() * 40 * (1 + (h > 15)) * (1 + (d > 5)) * (h > 7))}
        for d in range(1, 8)
        for h in range(24)
    ]
    return t.heatmap(SCENE, rows if shape.days > 1 else [{"weekday": 3, "hour": 14, "redeemed": 1}] if shape.days else [])


MAKERS: dict[ChartName, Callable[[Shape], AnyChart]] = {
    ChartName.TOP_STORES: lambda shape: s.top_stores(SCENE, performance(shape)),
    ChartName.DAILY: lambda shape: t.daily(SCENE, day_rows(shape), first_day(shape), LAST),
    ChartName.SHARE: lambda shape: s.share(SCENE, performance(shape), by="region" if shape.stores > 100 else "chain"),
    ChartName.RANK_HISTORY: _rank_history,
    ChartName.RATES: lambda shape: s.rates(SCENE, performance(shape), "s-0002" if shape.stores > 20 else None),
    ChartName.HEATMAP: _heatmap,
    ChartName.OUTCOMES: _outcomes,
    ChartName.BURN_DOWN: _burn_down,
    ChartName.DAYS_TO_REDEEM: _days_to_redeem,
}


def sample_report(stores: int) -> Report:
    """A whole report of some stores."""
    shape = Shape(stores=stores)
    rows = [{**row, "void": 1, "outstanding": 2} for row in performance(shape)]
    summary = {
        "issued": 1_000 * stores,
        "redeemed": sum(row["redeemed"] for row in rows),
        "reversed": 100,
        "unique_players": 12_345,
        "outstanding": 400 * stores,
        "void": 100,
        "expired": 0,
        "days_left": 9,
        "state": "active",
    }
    return report(SCENE, summary, rows, [MAKERS[name](shape) for name in REPORT_CHARTS])
