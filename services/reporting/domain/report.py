"""What the head-office report holds, and how each of its figures is defined."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.reporting.domain import words
from services.reporting.domain.charts.base import Chart, ChartName, Scene
from services.reporting.domain.charts.stores import in_order

Row = Mapping[str, Any]
REPORT_CHARTS: Final = (
    ChartName.TOP_STORES,
    ChartName.DAILY,
    ChartName.SHARE,
    ChartName.RANK_HISTORY,
    ChartName.RATES,
    ChartName.HEATMAP,
    ChartName.OUTCOMES,
    ChartName.BURN_DOWN,
    ChartName.DAYS_TO_REDEEM,
)
LISTED_STORES: Final = 50
GROUP_COLUMNS: Final = ("stores", "issued", "redeemed", "rate", "share", "void", "outstanding")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """A large figure of the cover: its name, the figure as text, and a remark."""

    label: str
    value: str
    remark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTable:
    """A table: texts in the first columns, right-aligned figures from column `figures_from` on. The last row may be a sum."""

    title: str
    remark: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures_from: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    campaign: str
    when: str
    footer: str
    figures: tuple[KeyFigure, ...]
    findings: tuple[str, ...]
    charts: tuple[Chart, ...]
    tables: tuple[ReportTable, ...]
    definitions: tuple[tuple[str, str], ...]


DEFINITIONS: Final = (
    ("Issued", "Codes of published batches that were handed to the stores."),
    ("Accepted", "Requests that redeemed a code, each counted once however often it was sent."),
    ("Reversed", "Accepted redemptions that a game took back, for whatever reason. They stay in the ledger."),
    ("Redeemed", "Codes that are redeemed now: accepted, less those that a reversal made redeemable again."),
    ("Score", "Accepted less reversed. Stores are ranked by it; of two alike, who reached it first stands before the other."),
    ("Rank", "Competition rank: 1, 2, 2, 4. Hidden stores, test stores and stores without a score have none."),
    ("Void", "Codes that were made unusable and are not redeemed."),
    ("Expired", "Codes that were neither redeemed nor void when the campaign was over."),
    ("Outstanding", "Codes that can still be redeemed. Issued = outstanding + redeemed + void + expired, always."),
    ("Rate", "Redeemed ÷ issued."),
    ("Share", "The score of a store, chain or region ÷ the scores of all shown stores."),
    ("Refused", "Requests for codes of this campaign that redeemed nothing, by reason."),
    ("Days", "Days, hours and weeks are of the campaign's time zone, by the time at which the player redeemed."),
    ("Period", "Where a period is given, counts, scores and ranks are of it; a reversal counts where its redemption does."),
    ("States", "Issued, void, expired and outstanding are of the moment of the report, whatever the period."),
)


def report(scene: Scene, summary: Row, performance: Sequence[Row], charts: Sequence[Chart]) -> Report:
    """The whole report of a campaign."""
    top = charts[0].heading
    return Report(
        campaign=scene.campaign.name,
        when=top.subtitle.partition(" · ")[2],
        footer=top.footer,
        figures=_key_figures(summary),
        findings=tuple(chart.heading.headline for chart in charts),
        charts=tuple(charts),
        tables=(_groups("Chains", "chain", performance), _groups("Regions", "region", performance), _stores(performance)),
        definitions=DEFINITIONS,
    )


def _key_figures(summary: Row) -> tuple[KeyFigure, ...]:
    issued, redeemed = summary["issued"], summary["redeemed"]
    players = words.counted(summary["unique_players"], "player", "players")
    remarks = (
        ("Redeemed", words.number(redeemed), f"{words.number(summary['reversed'])} reversed, by {players}"),
        ("Rate", words.percent(redeemed, issued), f"of {words.counted(issued, 'code', 'codes')} issued"),
        (
            "Outstanding",
            words.number(summary["outstanding"]),
            f"{words.number(summary['void'])} void, {words.number(summary['expired'])} expired",
        ),
        ("Days left", words.number(summary["days_left"]), f"the campaign is {summary['state']}"),
    )
    return tuple(KeyFigure(label=label, value=value, remark=remark) for label, value, remark in remarks)


def _groups(title: str, by: str, performance: Sequence[Row]) -> ReportTable:
    sums: dict[str, dict[str, int]] = {}
    for row in performance:
        if not row["unlisted"]:
            _add(sums.setdefault(row[by] or f"Without a {by}", dict.fromkeys(_SUMMED, 0)), row)
    whole = dict.fromkeys(_SUMMED, 0)
    for group in sums.values():
        for name in _SUMMED:
            whole[name] += group[name]
    ordered = sorted(sums.items(), key=lambda item: (-item[1]["score"], item[0]))
    rows = [(name, *_cells(group, whole["score"])) for name, group in ordered]
    rows.append(("All", *_cells(whole, whole["score"])))
    remark = "By score, hidden and test stores left out"
    return ReportTable(title=title, remark=remark, columns=(by, *GROUP_COLUMNS), rows=tuple(rows))


def _stores(performance: Sequence[Row]) -> ReportTable:
    ranked = in_order(performance)
    total = sum(row["score"] for row in ranked)
    rows = tuple(
        (
            str(row["rank"]),
            str(row["store_name"] or row["store_id"]),
            str(row["chain"] or "–"),
            words.number(row["issued"]),
            words.number(row["redeemed"]),
            words.percent(row["redeemed"], row["issued"]),
            words.percent(row["score"], total),
        )
        for row in ranked[:LISTED_STORES]
    )
    more = len(ranked) - len(rows)
    remark = "All ranked stores"
    if more > 0:
        remark = f"The first {words.number(len(rows))}; {words.number(more)} more are in performance.csv"
    columns = ("rank", "store", "chain", "issued", "redeemed", "rate", "share")
    return ReportTable(title="Stores", remark=remark, columns=columns, rows=rows, figures_from=3)


_SUMMED: Final = ("stores", "issued", "redeemed", "score", "void", "outstanding")


def _add(group: dict[str, int], row: Row) -> None:
    for name in _SUMMED:
        group[name] += 1 if name == "stores" else row[name]


def _cells(group: Mapping[str, int], total: int) -> Iterable[str]:
    return (
        words.number(group["stores"]),
        words.number(group["issued"]),
        words.number(group["redeemed"]),
        words.percent(group["redeemed"], group["issued"]),
        words.percent(group["score"], total),
        words.number(group["void"]),
        words.number(group["outstanding"]),
    )
