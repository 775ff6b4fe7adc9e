"""Every chart, the report and the workbook against a plain recomputation from the outcomes, over random histories."""

import csv
import io
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import openpyxl
import pypdfium2
import pytest

from services.reporting.domain import words
from services.reporting.domain.campaigns import Access, Asked
from services.reporting.domain.charts import stores, times
from services.reporting.domain.charts.base import ChartName
from services.reporting.domain.periods import local_day
from services.reporting.handlers.charts import scene_of, work_out
from services.reporting.handlers.downloads import PERFORMANCE_COLUMNS
from services.reporting.handlers.figures import list_performance, summarise
from services.reporting.handlers.freshness import Freshness
from services.reporting.handlers.reports import gather_report, write_rows
from services.reporting.handlers.selecting import Selected, select
from services.reporting.render.pages import Paper
from services.reporting.render.report import draw_report
from services.reporting.render.workbook import draw_workbook
from services.reporting.store.reading import DownloadStore, FigureStore
from shared.contracts.redemption import Outcome, OutcomeName
from shared.postgres.connections import open_pool
from tests.integration.reporting.test_figures_agree import folded
from tests.unit.reporting.history import STARTS_AT, ZONE, History
from tests.unit.reporting.recomputation import StoreFigures, recompute

NOW = datetime(2026, 12, 1, 4, 59, tzinfo=UTC)
"""The last minute of the campaign: all of its history is past, and nothing has expired."""

FRESHNESS = Freshness(NOW, 0)
SEEDS = range(3)


@pytest.fixture
async def pool(database: Callable[[str], Awaitable[str]]) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(await database("reporting"), schema="reporting") as opened:
        yield opened


async def chosen(pool: asyncpg.Pool, asked: Asked | None = None) -> Selected:
    return await select(FigureStore(pool), "spring", asked or Asked(), Access(everything=True), now=NOW)


async def chart_of(pool: asyncpg.Pool, name: ChartName, *, by: str = "chain") -> Any:
    selected = await chosen(pool)
    return await work_out(FigureStore(pool), name, selected, scene_of(selected, FRESHNESS), by=by, asked_stores=None)


def accepted_of(history: History) -> list[Outcome]:
    return [o for o in history.outcomes if o.outcome is OutcomeName.REDEEMED and not o.duplicate]


def kept_of(history: History) -> list[Outcome]:
    """Redemptions that were not reversed."""
    reversed_ids = {o.redemption_id for o in history.outcomes if o.outcome is OutcomeName.REVERSED}
    return [o for o in accepted_of(history) if o.redemption_id not in reversed_ids]


def ranked(figures: dict[str, StoreFigures]) -> list[StoreFigures]:
    return [f for f in figures.values() if f.rank is not None]


@pytest.mark.parametrize("seed", SEEDS)
async def test_charts_of_stores_agree(pool: asyncpg.Pool, seed: int) -> None:
    history = await folded(pool, seed, stores=15, events=400)
    figures = recompute(history)
    top = await chart_of(pool, ChartName.TOP_STORES)
    assert isinstance(top, stores.TopStores)
    scores = sorted((f.score for f in ranked(figures)), reverse=True)
    assert [bar.value for bar in top.bars] == scores[:12]
    assert (top.more, top.more_total) == (max(0, len(scores) - 12), sum(scores[12:]))
    share = await chart_of(pool, ChartName.SHARE, by="region")
    regions: Counter[str] = Counter()
    for store in history.stores:
        if figures[store.id].rank is not None:
            regions[str(store.region)] += figures[store.id].score
    assert {bar.label: bar.value for bar in share.bars} == regions
    rates = await chart_of(pool, ChartName.RATES)
    shown = [f for key, f in figures.items() if not next(s for s in history.stores if s.id == key).hidden]
    assert sum(rates.bins) == len(shown)
    assert rates.median == sorted(f.redeemed / f.issued for f in shown)[len(shown) // 2]
    ranks = await chart_of(pool, ChartName.RANK_HISTORY)
    assert sorted(line.ranks[-1] for line in ranks.lines) == sorted(f.rank or 0 for f in ranked(figures))[: len(ranks.lines)]
    half = ranks.days[len(ranks.days) // 2]
    until = datetime.combine(half + timedelta(days=1), datetime.min.time(), ZONE)
    by_name = {s.name: recompute(history, STARTS_AT, until)[s.id].rank for s in history.stores}
    labels = Counter(s.name for s in history.stores)
    for line in ranks.lines:
        if labels[line.label] == 1:
            assert line.ranks[len(ranks.days) // 2] == by_name[line.label], line.label


@pytest.mark.parametrize("seed", SEEDS)
async def test_charts_over_time_agree(pool: asyncpg.Pool, seed: int) -> None:
    history = await folded(pool, seed, stores=6, events=400)
    kept = kept_of(history)
    days = Counter(local_day(o.occurred_at, ZONE) for o in kept)
    daily = await chart_of(pool, ChartName.DAILY)
    assert +Counter(dict(zip(daily.starts, daily.values, strict=True))) == days
    assert daily.running[-1] == len(kept)
    heat = await chart_of(pool, ChartName.HEATMAP)
    hours = Counter((o.occurred_at.astimezone(ZONE).weekday(), o.occurred_at.astimezone(ZONE).hour) for o in kept)
    assert {(d, h): n for d, line in enumerate(heat.cells) for h, n in enumerate(line) if n} == hours
    refused = await chart_of(pool, ChartName.OUTCOMES)
    assert {reason.label: reason.total for reason in refused.reasons} == refusals(history)
    left = await chart_of(pool, ChartName.BURN_DOWN)
    assert left.left[-1] == sum(f.outstanding for f in recompute(history).values())
    to_redeem = await chart_of(pool, ChartName.DAYS_TO_REDEEM)
    waited = Counter(min(times.MOST_DAYS_TO_REDEEM, (o.occurred_at - STARTS_AT) // timedelta(days=1)) for o in kept)
    assert {n: value for n, value in enumerate(to_redeem.values) if value} == waited


def refused_of(history: History) -> list[Outcome]:
    """Refused requests that led to the campaign."""
    return [o for o in history.outcomes if o.campaign_id and not o.duplicate and o.type.value == "redemption.rejected"]


def refusals(history: History) -> dict[str, int]:
    return dict(Counter(times.REASONS_IN_WORDS[o.outcome.value] for o in refused_of(history)))


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_report_agrees(pool: asyncpg.Pool, seed: int) -> None:
    history = await folded(pool, seed, stores=8, events=300)
    figures = recompute(history)
    report = await gather_report(FigureStore(pool), await chosen(pool), FRESHNESS)
    document = pypdfium2.PdfDocument(draw_report(report, Paper.A4))
    texts = [without_marks(page.get_textpage().get_text_range()) for page in document]
    document.close()
    redeemed, issued = (sum(getattr(f, name) for f in figures.values()) for name in ("redeemed", "issued"))
    cover = texts[0]
    for value in (redeemed, sum(f.outstanding for f in figures.values()), sum(f.void for f in figures.values())):
        assert words.number(value) in cover
    assert without_marks(words.percent(redeemed, issued)) in cover
    assert f"{len({(o.platform, o.player_id) for o in kept_of(history)})} players" in cover
    for chart, text in zip(report.charts, texts[2:], strict=False):
        assert chart.heading.name in text
        assert any(str(cell) in text for row in chart.table()[1] for cell in row[1:] if isinstance(cell, int))
    stores_page = next(text for text in texts if text.startswith("Stores"))
    lines = [set(line.split()) for line in stores_page.splitlines()]
    for found in ranked(figures):
        rate = without_marks(words.percent(found.redeemed, found.issued)).split()[0]
        cells = {str(found.rank), str(found.issued), str(found.redeemed), rate}
        assert any(cells <= line for line in lines), cells


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("asked", [Asked(), Asked(since="2026-10-31", until="2026-11-07T10:00:00Z")], ids=["ever", "period"])
async def test_sums_rows_csv_and_workbook_agree(pool: asyncpg.Pool, tmp_path: Path, seed: int, asked: Asked) -> None:
    history = await folded(pool, seed, stores=5, events=250)
    selected = await chosen(pool, asked)
    wanted = recompute(history, selected.of.since, selected.of.until)
    summary = await summarise(FigureStore(pool), selected, FRESHNESS)
    for name in ("issued", "accepted", "redeemed", "reversed", "void", "outstanding", "score"):
        assert summary[name] == sum(getattr(f, name) for f in wanted.values()), name
    since, until = selected.of.since or STARTS_AT, selected.of.until or NOW + timedelta(days=1)
    players = {(o.platform, o.player_id) for o in kept_of(history) if since <= o.occurred_at < until}
    assert summary["unique_players"] == len(players)
    assert summary["rejected"] == sum(since <= o.occurred_at < until for o in refused_of(history))
    rows = {row["store_id"]: row for row in await list_performance(FigureStore(pool), selected)}
    csv_rows = dict(await performance_csv(pool, selected))
    sheet = await workbook(pool, selected, tmp_path)
    total = sum(f.redeemed for f in wanted.values())
    for store_id, found in wanted.items():
        for name in ("issued", "accepted", "redeemed", "reversed", "void", "outstanding", "unique_players", "rank", "rejected"):
            value = getattr(found, name)
            assert rows[store_id][name] == value, (store_id, name)
            assert csv_rows[store_id][name] == ("" if value is None else str(value)), (store_id, name)
            assert sheet[store_id][name] == value, (store_id, name)
        assert rows[store_id]["share_of_total"] == (found.redeemed / total if total else None)
        assert float(csv_rows[store_id]["rate"].rstrip("%")) == pytest.approx(100 * found.redeemed / found.issued, abs=1e-4)
        assert sheet[store_id]["rate"] == pytest.approx(found.redeemed / found.issued)


async def performance_csv(pool: asyncpg.Pool, selected: Selected) -> Iterable[tuple[str, dict[str, str]]]:
    async with DownloadStore(pool).performance(selected.of) as chunks:
        text = b"".join([chunk async for chunk in chunks]).decode()
    rows = csv.reader(io.StringIO(text, newline=""))
    return [(row[0], dict(zip(PERFORMANCE_COLUMNS, row, strict=True))) for row in rows]


async def workbook(pool: asyncpg.Pool, selected: Selected, folder: Path) -> dict[str, dict[str, Any]]:
    source, target = folder / "rows.csv", folder / "rows.xlsx"
    await write_rows(DownloadStore(pool).performance_values(selected.of), source)
    assert draw_workbook("performance", NOW, PERFORMANCE_COLUMNS, source, target) == 5
    rows = list(openpyxl.load_workbook(target).active.iter_rows(min_row=3, values_only=True))
    return {row[0]: dict(zip(PERFORMANCE_COLUMNS, row, strict=True)) for row in rows}


def without_marks(text: str) -> str:
    """What a reader sees: thin spaces as spaces, no marks of direction."""
    return re.sub("[\u2068\u2069]", "", text).replace("\u202f", " ").replace("\xa0", " ")
