"""A chart, cold and kept, next to matplotlib (Agg) drawing the same bars and line; and the whole report of 500 stores."""

import io
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import matplotlib as mpl

from services.reporting.domain.charts.base import ChartName
from services.reporting.domain.charts.times import Daily
from services.reporting.render.charts.drawing import draw
from services.reporting.render.pages import Paper
from services.reporting.render.palette import LIGHT
from services.reporting.render.picture import to_pdf, to_png, to_svg
from services.reporting.render.report import draw_report
from tests.unit.reporting.samples import MAKERS, SHAPES, sample_report

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.dates import date2num

TIMES = int(os.environ.get("COUNTERFOIL_BENCH_TIMES", 20))


def run() -> dict[str, Any]:
    """Milliseconds (medians), and how many times as fast as matplotlib. reporting_reads measures a kept chart over HTTP."""
    chart = MAKERS[ChartName.DAILY](SHAPES["some"])
    assert isinstance(chart, Daily)
    figures: dict[str, Any] = {}
    for kind, write in (("svg", to_svg), ("png", to_png), ("pdf", to_pdf)):
        ours = _median(lambda write=write: write(draw(chart, LIGHT)))  # type: ignore[misc]
        theirs = _median(lambda kind=kind: _by_matplotlib(chart, kind))  # type: ignore[misc]
        figures[f"{kind}, milliseconds"] = round(ours * 1000, 1)
        figures[f"{kind} by matplotlib, milliseconds"] = round(theirs * 1000, 1)
        figures[f"{kind}, times as fast"] = round(theirs / ours, 1)
    figures["report of 500 stores, seconds"] = round(_median(_report, times=3), 2)
    return figures


def _by_matplotlib(chart: Daily, kind: str) -> bytes:
    """The same data at the same size and density, with labels and a second axis, nothing more."""
    figure, axis = plt.subplots(figsize=(9.6, 5.4), dpi=200 if kind == "png" else 100)
    days = [date2num(day) for day in chart.starts]  # type: ignore[no-untyped-call]
    axis.bar(days, chart.values, color="#B9B4A8")
    axis.xaxis_date()
    axis.set_title(chart.heading.headline)
    axis.set_ylabel("redemptions a day")
    other = axis.twinx()
    other.plot(days, chart.running, color="#D98E04")
    out = io.BytesIO()
    figure.savefig(out, format=kind)
    plt.close(figure)
    return out.getvalue()


def _report() -> bytes:
    return draw_report(sample_report(500), Paper.A4)


def _median(work: Callable[[], bytes], times: int = TIMES) -> float:
    work()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
