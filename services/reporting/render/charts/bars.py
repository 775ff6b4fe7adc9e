"""Horizontal bars: the top stores, and shares."""

from typing import Final

from services.reporting.domain import words
from services.reporting.domain.charts.stores import Share, TopStores
from services.reporting.render.fonts import shortened, width_of
from services.reporting.render.frame import AXIS_SIZE, Box, Scale, begin, round_ticks, say_empty
from services.reporting.render.palette import Palette
from services.reporting.render.picture import Picture

LABEL_ROOM: Final = 250.0
ROW: Final = 40.0
CROWNED: Final = 10


def draw_top_stores(chart: TopStores, palette: Palette) -> Picture:
    picture, box = begin(chart.heading, palette)
    if not chart.bars:
        say_empty(picture, box, "Stores appear here as soon as their first code is redeemed.")
        return picture
    row = min(ROW, (box.height - (58 if chart.more else 30)) / len(chart.bars))
    names = [shortened(bar.label, 13, LABEL_ROOM) for bar in chart.bars]
    inner = box.inset(left=max(width_of(name, 13) for name in names) + 44, right=64)
    scale = _length_axis(picture, inner, row * len(chart.bars), max(bar.value for bar in chart.bars))
    marked = CROWNED if chart.more else 1
    for n, (bar, name) in enumerate(zip(chart.bars, names, strict=True)):
        y = inner.top + n * row
        _bar(picture, scale, y, row, bar.value, palette.accent if n < marked else palette.rest)
        picture.text(box.left + 16, y + row / 2 + 4.5, str(n + 1), size=13, color=palette.muted, anchor="end")
        picture.text(inner.left - 12, y + row / 2 + 4.5, name, size=13, anchor="end")
        picture.text(scale(bar.value) + 8, y + row / 2 + 4.5, words.number(bar.value), size=13, bold=n < marked)
    if chart.more:
        more = f"and {words.number(chart.more)} more with {words.number(chart.more_total)} together"
        picture.text(inner.left, inner.top + len(chart.bars) * row + 46, more, size=13, color=palette.muted)
    return picture


def draw_share(chart: Share, palette: Palette) -> Picture:
    picture, box = begin(chart.heading, palette)
    if not chart.bars:
        say_empty(picture, box, "Shares appear here as soon as the first code is redeemed.")
        return picture
    colors = [palette.series[n % len(palette.series)] for n in range(len(chart.bars))]
    if chart.others:
        colors[-1] = palette.rest
    _whole(picture, box, chart, colors)
    inner = box.inset(top=96)
    row = min(46.0, inner.height / len(chart.bars))
    for n, (bar, color) in enumerate(zip(chart.bars, colors, strict=True)):
        y = inner.top + n * row + row / 2 + 5
        picture.rect(inner.left, y - 12, 14, 14, color, radius=3)
        picture.text(inner.left + 26, y, shortened(bar.label, 15, 480), size=15)
        picture.text(inner.right - 130, y, words.percent(bar.value, chart.total), size=15, bold=True, anchor="end")
        picture.text(inner.right, y, words.number(bar.value), size=15, color=palette.muted, anchor="end")
        if n:
            picture.line((inner.left, y - row / 2 - 5), (inner.right, y - row / 2 - 5), palette.hairline)
    return picture


def _whole(picture: Picture, box: Box, chart: Share, colors: list[str]) -> None:
    """All parts in one bar; a part too thin for its figure goes without."""
    x = box.left
    for bar, color in zip(chart.bars, colors, strict=True):
        width = box.width * bar.value / chart.total
        picture.rect(x, box.top + 8, max(0.5, width - 2), 52, color)
        text = words.percent(bar.value, chart.total)
        if width > width_of(text, 14, True) + 16:
            picture.text(x + 10, box.top + 39, text, size=14, color=picture.palette.on(color), bold=True)
        x += width
    picture.text(box.left, box.top + 84, "share of redemptions (%)", size=AXIS_SIZE, color=picture.palette.muted)
    picture.text(box.right, box.top + 84, "redemptions", size=AXIS_SIZE, color=picture.palette.muted, anchor="end")


def _length_axis(picture: Picture, box: Box, height: float, high: float) -> Scale:
    ticks = round_ticks(high, most=5)
    scale = Scale(max(ticks[-1], high), box.left, box.right)
    bottom = box.top + height
    for tick in ticks:
        picture.line((scale(tick), box.top), (scale(tick), bottom + 4), picture.palette.hairline)
        label = words.number(int(tick))
        picture.text(scale(tick), bottom + 18, label, size=AXIS_SIZE, color=picture.palette.muted, anchor="middle")
    picture.text(box.left - 12, bottom + 18, "redemptions", size=AXIS_SIZE, color=picture.palette.muted, anchor="end")
    return scale


def _bar(picture: Picture, scale: Scale, y: float, row: float, value: float, color: str) -> None:
    thick = min(26.0, row * 0.68)
    length = max(1.5, scale(value) - scale(0))
    picture.rect(scale(0), y + (row - thick) / 2, length, thick, color, radius=min(3.0, length / 2))
