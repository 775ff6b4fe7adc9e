"""Working out the charts: which figures each is made of."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final, assert_never

from services.reporting.domain.charts.base import Chart, ChartName, Scene
from services.reporting.domain.charts.stores import rank_history, rates, share, top_stores
from services.reporting.domain.charts.times import burn_down, daily, days_to_redeem, heatmap, outcomes
from services.reporting.domain.periods import days_between, local_day
from services.reporting.handlers.freshness import Freshness
from services.reporting.handlers.selecting import Selected
from services.reporting.store.reading import FigureStore, Row

MOST_RANK_DAYS: Final = 400


def scene_of(selected: Selected, freshness: Freshness, *, only: str = "") -> Scene:
    """What the headings of one answer share; `only` names the filter."""
    return Scene(
        campaign=selected.campaign,
        period=selected.period,
        now=selected.of.now.astimezone(selected.campaign.zone),
        as_of=freshness.as_of,
        only=only,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was read of a selection already, for whoever works out several charts of it."""

    performance: Sequence[Row]
    store_days: Sequence[Row]

    def days(self) -> list[Row]:
        """The sums of all stores by day."""
        sums: dict[date, Row] = {}
        for row in self.store_days:
            of_day = sums.setdefault(row["day"], {"day": row["day"], "accepted": 0, "reversed": 0, "reopened": 0})
            for name in ("accepted", "reversed", "reopened"):
                of_day[name] += row[name]
        return list(sums.values())


async def work_out(
    store: FigureStore,
    name: ChartName,
    selected: Selected,
    scene: Scene,
    *,
    by: str = "chain",
    asked_stores: Sequence[str] | None = None,
    known: Known | None = None,
) -> Chart:
    """The data of a chart. `by`: what shares are of. `asked_stores`: the stores named in the request, to be marked."""
    of = selected.of
    first, last = days_of(selected)
    match name:
        case ChartName.TOP_STORES | ChartName.SHARE:
            rows = known.performance if known else await store.performance(of)
            return top_stores(scene, rows) if name is ChartName.TOP_STORES else share(scene, rows, by=by)
        case ChartName.RATES | ChartName.RANK_HISTORY:
            whole = replace(of, stores=None) if asked_stores else of
            rows = known.performance if known else await store.performance(whole)
            if name is ChartName.RATES:
                return rates(scene, rows, asked_stores[0] if asked_stores else None)
            days = days_between(max(first, last - timedelta(days=MOST_RANK_DAYS - 1)), last)
            gains = known.store_days if known else await store.store_days(of, None)
            return rank_history(scene, rows, gains, days, asked_stores)
        case ChartName.DAILY:
            return daily(scene, known.days() if known else await store.days(of), first, last)
        case ChartName.HEATMAP:
            return heatmap(scene, await store.weekday_hours(of))
        case ChartName.OUTCOMES:
            return outcomes(scene, await store.rejections_by_day(of), first, last)
        case ChartName.DAYS_TO_REDEEM:
            return days_to_redeem(scene, await store.days_to_redeem(of))
        case ChartName.BURN_DOWN:
            return await _burn_down(store, selected, scene, known.days() if known and of.since is None else None)
    assert_never(name)


async def _burn_down(store: FigureStore, selected: Selected, scene: Scene, days: Sequence[Row] | None) -> Chart:
    """Always of ever: how many codes are left does not depend on the days that are looked at."""
    campaign, zone = selected.campaign, selected.campaign.zone
    changes: dict[date, int] = defaultdict(int)
    for row in await store.supply_changes(selected.of):
        changes[local_day(row["at"], zone)] += row["codes"]
    rows = days if days is not None else await store.days(replace(selected.of, since=None, until=None))
    first = local_day(campaign.starts_at, zone)
    ends_on = local_day(campaign.ends_at - timedelta(seconds=1), zone)
    whole = replace(scene, period=None)
    return burn_down(whole, rows, changes, first, max(first, selected.of.today), ends_on)


def days_of(selected: Selected) -> tuple[date, date]:
    """The first and the last day to show: of the period, else of the campaign as far as it has come."""
    campaign, zone = selected.campaign, selected.campaign.zone
    if selected.period:
        return local_day(selected.period.starts_at, zone), local_day(selected.period.ends_at - timedelta(seconds=1), zone)
    first = local_day(campaign.starts_at, zone)
    return first, max(first, min(selected.of.today, local_day(campaign.ends_at - timedelta(seconds=1), zone)))
