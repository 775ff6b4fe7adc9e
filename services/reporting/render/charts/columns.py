"""Upright bars: by day, refusals by reason, rates, days to redeem."""

from collections.abc import Sequence

from services.reporting.domain import words
from services.reporting.domain.charts.stores import Rates
from services.reporting.domain.charts.times import MOST_DAYS_TO_REDEEM, Daily, DaysToRedeem, Outcomes
from services.reporting.render.fonts import shortened, width_of
from services.reporting.render.frame import (
    AXIS_SIZE,
    Box,
    Scale,
    begin,
    round_ticks,
    say_empty,
    ticks_beside,
    time_labels,
    value_axis,
)
from services.reporting.render.palette import Palette
from services.reporting.render.picture import Picture

REASON_ROOM = 236.0
SEAM = 1.0
"""Between the parts of a bar, which are hard to tell apart in grey."""


def draw_daily(chart: Daily, palette: Palette) -> Picture:
    picture, box = begin(chart.heading, palette)
    if not any(chart.values):
        say_empty(picture, box, "Days appear here as soon as the first code is redeemed.")
        return picture
    has_sum = len(chart.values) > 1
    ticks = ticks_beside(max(chart.running), len(round_ticks(max(chart.values))) - 1)
    room = width_of(words.number(chart.running[-1]), 13, True) + width_of(words.number(int(ticks[-1])), AXIS_SIZE) + 32
    axis = box.inset(right=room if has_sum else 0)
    scale, inner = value_axis(picture, axis, max(chart.values), f"redemptions a {chart.step}")
    best = max(range(len(chart.values)), key=lambda n: chart.values[n])
    colors = [palette.accent if n == best else palette.rest for n in range(len(chart.values))]
    xs = _columns(picture, inner, scale, chart.values, colors)
    time_labels(picture, inner.bottom + 18, xs, chart.starts, chart.step)
    _label_above(picture, inner, xs[best], scale(chart.values[best]), words.number(chart.values[best]))
    if has_sum:
        _running_line(picture, inner, xs, chart.running, ticks, inner.right + room)
    return picture


def _running_line(
    picture: Picture, inner: Box, xs: Sequence[float], running: Sequence[int], ticks: Sequence[float], right: float
) -> None:
    """The sum so far on an axis of its own that ends at `right`, with the whole sum at the line's end."""
    color, muted = picture.palette.series[1], picture.palette.muted
    scale = Scale(ticks[-1], inner.bottom, inner.top)
    picture.text(right, inner.top - 14, "in all", size=AXIS_SIZE, color=muted, anchor="end")
    for tick in ticks:
        picture.text(right, scale(tick) + 4, words.number(int(tick)), size=AXIS_SIZE, color=muted, anchor="end")
    points = [(x, scale(value)) for x, value in zip(xs, running, strict=True)]
    picture.path(points, picture.palette.ground, width=5)
    picture.path(points, color, width=2.5)
    x, y = points[-1]
    picture.dot(x, y, 5, color, ring=picture.palette.ground)
    text_color = picture.palette.text_of(color)
    picture.text(inner.right + 6, y + 4.5, words.number(running[-1]), size=13, color=text_color, bold=True)


def draw_outcomes(chart: Outcomes, palette: Palette) -> Picture:
    picture, box = begin(chart.heading, palette)
    if not any(reason.total for reason in chart.reasons):
        say_empty(picture, box, "That is good: every request so far was answered with a redemption.")
        return picture
    heights = [sum(reason.values[n] for reason in chart.reasons) for n in range(len(chart.starts))]
    scale, inner = value_axis(picture, box.inset(right=REASON_ROOM), max(heights), f"refused requests a {chart.step}")
    xs, width = _positions(inner, len(chart.starts))
    colors = [palette.series[n % len(palette.series)] for n in range(len(chart.reasons))]
    for n, x in enumerate(xs):
        base = 0
        for reason, color in zip(chart.reasons, colors, strict=True):
            top = base + reason.values[n]
            if reason.values[n]:
                picture.rect(x - width / 2, scale(top), width, max(0.6, scale(base) - scale(top) - SEAM), color)
            base = top
    time_labels(picture, inner.bottom + 18, xs, chart.starts, chart.step)
    _name_reasons(picture, box, chart, colors)
    return picture


def _name_reasons(picture: Picture, box: Box, chart: Outcomes, colors: Sequence[str]) -> None:
    """The reasons beside the bars, in the order of the stack from its top."""
    x, y = box.right - REASON_ROOM + 22, box.top + 30
    for reason, color in reversed(list(zip(chart.reasons, colors, strict=True))):
        picture.rect(x, y - 11, 12, 12, color, radius=2)
        picture.text(x + 20, y, shortened(reason.label, 13, REASON_ROOM - 96), size=13)
        picture.text(box.right, y, words.number(reason.total), size=13, bold=True, anchor="end")
        y += 26


def draw_rates(chart: Rates, palette: Palette) -> Picture:
    picture, box = begin(chart.heading, palette)
    if chart.median is None:
        say_empty(picture, box, "Rates appear here as soon as codes are published.")
        return picture
    marks = _rate_marks(chart, palette)
    room = box.inset(top=18 * len(marks), right=16, bottom=16)
    scale, inner = value_axis(picture, room, max(chart.bins), "")
    here = min(len(chart.bins) - 1, int(chart.here[1] / chart.bin_width + 1e-9)) if chart.here else None
    colors = [palette.accent if n == here or here is None else palette.rest for n in range(len(chart.bins))]
    _columns(picture, inner, scale, chart.bins, colors, gap=2)
    along = Scale(len(chart.bins) * chart.bin_width, inner.left, inner.right)
    ticks = [tick for tick in round_ticks(along.high, whole=False) if tick <= along.high * (1 + 1e-9)]
    for tick in ticks:
        text = f"{100 * tick:.{_decimals(100 * ticks[1]) if tick else 0}f}{words.THIN}%"
        picture.text(along(tick), inner.bottom + 18, text, size=AXIS_SIZE, color=palette.muted, anchor="middle")
    picture.text(inner.right, inner.bottom + 36, "codes redeemed (%)", size=AXIS_SIZE, color=palette.muted, anchor="end")
    _mark_rates(picture, inner, along, marks)
    picture.text(box.left, box.top + 8, "stores", size=AXIS_SIZE, color=palette.muted)
    return picture


def _rate_marks(chart: Rates, palette: Palette) -> list[tuple[float, str, str]]:
    """What is marked on the axis (rate, words, colour), from left to right; a single store needs no median."""
    marks = []
    if chart.median is not None and sum(chart.bins) > 1:
        marks.append((chart.median, f"half of the stores reach {_rate(chart.median)}", palette.ink))
    if chart.here:
        name, rate = chart.here
        marks.append((rate, f"you are here: {words.isolated(shortened(name, 13, 260))}, {_rate(rate)}", palette.accent))
    return sorted(marks)


def _mark_rates(picture: Picture, inner: Box, along: Scale, marks: Sequence[tuple[float, str, str]]) -> None:
    """Dashed lines, each with its words on a row of its own above the bars; no line runs through words."""
    tops = [inner.top - 14 - 18 * n for n in reversed(range(len(marks)))]
    for (rate, _, color), y in zip(marks, tops, strict=True):
        picture.line((along(rate), y - 10), (along(rate), inner.bottom), color, width=1.5, dash=[4, 3])
    for (rate, text, color), y in zip(marks, tops, strict=True):
        width = width_of(text, 13, True)
        left = along(rate) + 8 if along(rate) + width + 8 <= inner.right else along(rate) - 8 - width
        _on_ground(picture, left, y, text, size=13, color=color, bold=True)


def _on_ground(picture: Picture, x: float, y: float, text: str, *, size: float, color: str, bold: bool = False) -> None:
    """Words on a piece of ground, so that no line is seen to run through them."""
    picture.rect(x - 2, y - size + 1, width_of(text, size, bold) + 4, size + 4, picture.palette.ground)
    picture.text(x, y, text, size=size, color=color, bold=bold)


def draw_days_to_redeem(chart: DaysToRedeem, palette: Palette) -> Picture:
    picture, box = begin(chart.heading, palette)
    if chart.median is None:
        say_empty(picture, box, "Days appear here as soon as the first code is redeemed.")
        return picture
    scale, inner = value_axis(picture, box.inset(bottom=16), max(chart.values), "redemptions")
    middle = min(chart.median, MOST_DAYS_TO_REDEEM)
    colors = [palette.accent if n <= middle else palette.rest for n in range(len(chart.values))]
    xs = _columns(picture, inner, scale, chart.values, colors)
    for n in range(0, len(xs), 5):
        text = f"{n}+" if n == MOST_DAYS_TO_REDEEM else str(n)
        picture.text(xs[n], inner.bottom + 18, text, size=AXIS_SIZE, color=palette.muted, anchor="middle")
    title = "whole days since the batch was published"
    picture.text(inner.right, inner.bottom + 36, title, size=AXIS_SIZE, color=palette.muted, anchor="end")
    return picture


def _columns(
    picture: Picture, inner: Box, scale: Scale, values: Sequence[int], colors: Sequence[str], *, gap: float | None = None
) -> list[float]:
    """A bar for each value; gives their middles. Values below 0 hang from the base line."""
    xs, width = _positions(inner, len(values), gap=gap)
    for x, value, color in zip(xs, values, colors, strict=True):
        if value:
            top, bottom = min(scale(value), scale(0)), max(scale(value), scale(0))
            picture.rect(x - width / 2, top, width, max(1.0, bottom - top), color)
    return xs


def _positions(inner: Box, count: int, *, gap: float | None = None) -> tuple[list[float], float]:
    room = inner.width / count
    width = min(96.0, max(0.8, room - (gap if gap is not None else max(0.6, min(12.0, room * 0.28)))))
    return [inner.left + room * (n + 0.5) for n in range(count)], width if gap is None else room - gap


def _label_above(picture: Picture, inner: Box, x: float, y: float, text: str) -> None:
    half = width_of(text, 13, True) / 2
    x = min(max(x, inner.left + half), inner.right - half)
    picture.text(x, y - 7, text, size=13, color=picture.palette.accent, bold=True, anchor="middle")


def _decimals(step: float) -> int:
    """How many decimals all multiples of a round step need, so that their figures look alike."""
    return next(places for places in range(9) if abs(step - round(step, places)) < step / 1e6)


def _rate(rate: float) -> str:
    return f"{100 * rate:.3g}{words.THIN}%"
