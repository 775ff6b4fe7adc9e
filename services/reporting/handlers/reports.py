"""The head-office report and the workbook: gathering what they hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from services.reporting.domain.report import REPORT_CHARTS, Report, report
from services.reporting.handlers.charts import scene_of, work_out
from services.reporting.handlers.figures import summarise
from services.reporting.handlers.freshness import Freshness
from services.reporting.handlers.selecting import Selected
from services.reporting.store.reading import FigureStore


async def gather_report(store: FigureStore, selected: Selected, freshness: Freshness, *, only: str = "") -> Report:
    """Everything that the report shows, of a selection."""
    scene = scene_of(selected, freshness, only=only)
    summary, performance = await asyncio.gather(summarise(store, selected, freshness), store.performance(selected.of))
    working = [work_out(store, name, selected, scene, performance=performance) for name in REPORT_CHARTS]
    charts = await asyncio.gather(*working)
    return report(scene, summary, performance, charts)


async def write_rows(rows: AbstractAsyncContextManager[AsyncIterator[bytes]], target: Path) -> None:
    """Writes what Postgres sends into a file as it comes."""
    async with rows as chunks:
        with target.open("wb") as file:
            async for chunk in chunks:
                file.write(chunk)
