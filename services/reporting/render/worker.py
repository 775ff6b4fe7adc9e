"""The one process that draws: pdfium is not thread-safe, and drawing must not hold the service's loop.

The process is started with the service or at the first job, and again when it died. Jobs are done one after the other.
"""

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, ParamSpec, Self, TypeVar, assert_never

import structlog

from services.reporting.render.palette import Theme, palette_of

JOB_SECONDS: Final = 30.0
PNG_SCALE: Final = 2.0

log = structlog.get_logger(__name__)
Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")


class RenderTimeout(Exception):  # noqa: N818 (says what happened)
    """A job took longer than it may; its process was ended."""


class ImageFormat(StrEnum):
    SVG = "svg"
    PNG = "png"
    PDF = "pdf"


class Renderer:
    """Runs drawing functions in the worker process. Used as an async context manager."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def get_ready(self) -> None:
        """Starts the process, so that the first chart waits for no imports and fonts. Returns at once."""
        self._started()

    async def run(self, draw: Callable[Arguments, Drawn], *arguments: Arguments.args, **more: Arguments.kwargs) -> Drawn:
        """What `draw` returns, run in the worker. Raises RenderTimeout (queueing does not count), and what it raises."""
        async with self._turn:
            try:
                return await self._run_once(draw, *arguments, **more)
            except BrokenProcessPool:
                log.warning("drawing process died; a new one is started")
                self._end()
                return await self._run_once(draw, *arguments, **more)

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=end_with_service)
            self._pool.submit(load_everything)
        return self._pool

    async def _run_once(self, draw: Callable[Arguments, Drawn], *arguments: Arguments.args, **more: Arguments.kwargs) -> Drawn:
        job = asyncio.wrap_future(self._started().submit(draw, *arguments, **more))
        try:
            async with asyncio.timeout(JOB_SECONDS):
                return await job
        except TimeoutError:
            self._end()
            raise RenderTimeout(f"drawing took longer than {JOB_SECONDS:g} seconds") from None

    def _end(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            processes = list(pool._processes.values())  # noqa: SLF001 (there is no public way to end a job that runs)
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()


def end_with_service() -> None:
    """Ends this process with the one that started it, which may be killed: it would wait for its next job for ever."""
    service = multiprocessing.parent_process()
    assert service is not None

    def wait() -> None:
        service.join()
        os._exit(1)

    threading.Thread(target=wait, name="service is there", daemon=True).start()


def load_everything() -> None:
    """What every first drawing would wait for: the drawing library, and the fonts read."""
    from services.reporting.render import fonts, report

    assert report
    fonts.ready_for_any_text()


def draw_chart(chart: object, image: ImageFormat, theme: Theme) -> bytes:
    """A chart's bytes. Imported late: the service itself does not need the drawing library."""
    from services.reporting.render.charts.drawing import AnyChart, draw
    from services.reporting.render.picture import to_pdf, to_png, to_svg

    assert isinstance(chart, AnyChart)
    picture = draw(chart, palette_of(theme))
    match image:
        case ImageFormat.SVG:
            return to_svg(picture)
        case ImageFormat.PDF:
            return to_pdf(picture)
        case ImageFormat.PNG:
            return to_png(picture, scale=PNG_SCALE)
    assert_never(image)


def draw_report_as_pdf(report: object, paper: str) -> bytes:
    """The bytes of the head-office report."""
    from services.reporting.domain.report import Report
    from services.reporting.render.pages import Paper
    from services.reporting.render.report import draw_report

    assert isinstance(report, Report)
    return draw_report(report, Paper(paper))


def draw_rows_as_workbook(title: str, as_of: datetime, columns: Sequence[str], source: Path, target: Path) -> int:
    """Writes a workbook of one sheet; gives the number of its rows."""
    from services.reporting.render.workbook import draw_workbook

    return draw_workbook(title, as_of, columns, source, target)
