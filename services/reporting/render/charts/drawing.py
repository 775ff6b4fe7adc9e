"""From a chart's data to its picture."""

from typing import assert_never

from services.reporting.domain.charts.stores import RankHistory, Rates, Share, TopStores
from services.reporting.domain.charts.times import BurnDown, Daily, DaysToRedeem, Heatmap, Outcomes
from services.reporting.render.charts.bars import draw_share, draw_top_stores
from services.reporting.render.charts.columns import draw_daily, draw_days_to_redeem, draw_outcomes, draw_rates
from services.reporting.render.charts.heat import draw_heatmap
from services.reporting.render.charts.lines import draw_burn_down, draw_rank_history
from services.reporting.render.palette import Palette
from services.reporting.render.picture import Picture

AnyChart = TopStores | Daily | Share | RankHistory | Rates | Heatmap | Outcomes | BurnDown | DaysToRedeem


def draw(chart: AnyChart, palette: Palette) -> Picture:
    """The picture of a chart."""
    match chart:
        case TopStores():
            return draw_top_stores(chart, palette)
        case Daily():
            return draw_daily(chart, palette)
        case Share():
            return draw_share(chart, palette)
        case RankHistory():
            return draw_rank_history(chart, palette)
        case Rates():
            return draw_rates(chart, palette)
        case Heatmap():
            return draw_heatmap(chart, palette)
        case Outcomes():
            return draw_outcomes(chart, palette)
        case BurnDown():
            return draw_burn_down(chart, palette)
        case DaysToRedeem():
            return draw_days_to_redeem(chart, palette)
    assert_never(chart)
