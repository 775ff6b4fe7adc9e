"""The week as a grid of hours."""

from services.reporting.domain import words
from services.reporting.domain.charts.times import WEEKDAYS, Heatmap
from services.reporting.render.frame import AXIS_SIZE, Box, begin, say_empty
from services.reporting.render.palette import Palette
from services.reporting.render.picture import Picture

DAY_ROOM = 96.0


def draw_heatmap(chart: Heatmap, palette: Palette) -> Picture:
    picture, box = begin(chart.heading, palette)
    most = max(map(max, chart.cells))
    if most <= 0:
        say_empty(picture, box, "Hours appear here as soon as the first code is redeemed.")
        return picture
    inner = box.inset(left=DAY_ROOM, top=4, bottom=56)
    width, height = inner.width / 24, inner.height / 7
    for d, values in enumerate(chart.cells):
        y = inner.top + d * height
        picture.text(box.left, y + height / 2 + 4.5, WEEKDAYS[d], size=13)
        for h, value in enumerate(values):
            color = palette.ramp[_step(value, most, len(palette.ramp))]
            picture.rect(inner.left + h * width, y, width - 2, height - 2, color, radius=2)
    for h in range(0, 24, 3):
        picture.text(inner.left + h * width, inner.bottom + 16, f"{h:02}:00", size=AXIS_SIZE, color=palette.muted)
    _legend(picture, box, inner, most)
    return picture


def _step(value: int, most: int, steps: int) -> int:
    """Nothing has a tone of its own; the others are spread evenly, and the most has the strongest."""
    return 0 if value <= 0 else -(-value * (steps - 1) // most)


def _legend(picture: Picture, box: Box, inner: Box, most: int) -> None:
    palette = picture.palette
    x, y = inner.left, box.bottom - 12
    text = "redemptions an hour of the week: 0"
    picture.text(x, y, text, size=AXIS_SIZE, color=palette.muted)
    x += 214
    for color in palette.ramp:
        picture.rect(x, y - 11, 26, 13, color)
        x += 27
    picture.text(x + 6, y, words.number(most), size=AXIS_SIZE, color=palette.muted)
