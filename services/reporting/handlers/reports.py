"""The head-office report and the workbook: gathering what they hold."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.reporting.domain.report import REPORT_CHARTS, Report, report
from services.reporting.handlers.charts import scene_of, work_out
from services.reporting.handlers.figures import summarise
from services.reporting.handlers.freshness import Freshness
from services.reporting.handlers.selecting import Selected
from services.reporting.store.reading import FigureStore


async def gather_report(store: FigureStore, selected: Selected, freshness: Freshness, *, only: str = "") -> Report:
    """Everything that the report shows, of a selection."""
    scene = scene_of(selected, freshness, only=only)
    summary = await summarise(store, selected, freshness)
    performance = await store.performance(selected.of)
    charts = [await work_out(store, name, selected, scene, by="chain", asked_stores=None) for name in REPORT_CHARTS]
    return report(scene, {name: getattr(summary, name) for name in summary.__slots__}, performance, charts)


async def workbook_rows(store: FigureStore, selected: Selected) -> list[Sequence[Any]]:
    """The rows of performance.csv as values, shares as fractions."""
    everyone = await store.performance(replace(selected.of, stores=None))
    total = sum(row["redeemed"] for row in everyone)
    shown = None if selected.of.stores is None else set(selected.of.stores)
    rows = [row for row in everyone if shown is None or row["store_id"] in shown]
    return [_workbook_row(row, total) for row in rows]


def _workbook_row(row: dict[str, Any], total: int) -> Sequence[Any]:
    texts = [row[name] or None for name in ("store_id", "store_name", "chain", "region", "country")]
    counts = [row[n] for n in ("issued", "accepted", "redeemed", "reversed", "void", "expired", "outstanding")]
    rate = row["redeemed"] / row["issued"] if row["issued"] else None
    share = row["redeemed"] / total if total else None
    ranks = [row[name] for name in ("unique_players", "rank", "previous_rank", "first_at", "last_at", "rejected")]
    return [*texts, *counts, rate, share, *ranks]
