"""The head-office report and the workbook: gathering what they hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from services.reporting.domain.charts.base import Chart, ChartName
from services.reporting.domain.report import REPORT_CHARTS, Report, report
from services.reporting.handlers.charts import Known, scene_of, work_out
from services.reporting.handlers.figures import summarise
from services.reporting.handlers.freshness import Freshness
from services.reporting.handlers.selecting import Selected
from services.reporting.store.reading import FigureStore

READ_APART: Final = (ChartName.HEATMAP, ChartName.OUTCOMES, ChartName.DAYS_TO_REDEEM)
"""Charts that need neither the stores' performance nor their days, and are read beside those."""


async def gather_report(store: FigureStore, selected: Selected, freshness: Freshness, *, only: str = "") -> Report:
    """Everything that the report shows, of a selection."""
    scene = scene_of(selected, freshness, only=only)

    async def of_stores() -> tuple[Known, dict[ChartName, Chart]]:
        reading = store.performance(selected.of), store.store_days(selected.of, selected.of.stores)
        performance, store_days = await asyncio.gather(*reading)
        known = Known(performance=performance, store_days=store_days)
        names = [name for name in REPORT_CHARTS if name not in READ_APART]
        return known, {name: await work_out(store, name, selected, scene, known=known) for name in names}

    summary, (known, charts), *apart = await asyncio.gather(
        summarise(store, selected, freshness),
        of_stores(),
        *[work_out(store, name, selected, scene) for name in READ_APART],
    )
    charts |= dict(zip(READ_APART, apart, strict=True))
    return report(scene, summary, known.performance, [charts[name] for name in REPORT_CHARTS])


async def write_rows(rows: AbstractAsyncContextManager[AsyncIterator[bytes]], target: Path) -> None:
    """Writes what Postgres sends into a file as it comes."""
    async with rows as chunks:
        with target.open("wb") as file:
            async for chunk in chunks:
                file.write(chunk)
