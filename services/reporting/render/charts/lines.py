"""Lines over time: ranks, and the codes that are left."""

from services.reporting.domain import words
from services.reporting.domain.charts.stores import RankHistory, RankLine
from services.reporting.domain.charts.times import BurnDown, Step, step_for
from services.reporting.domain.periods import days_between
from services.reporting.render.fonts import shortened, width_of
from services.reporting.render.frame import AXIS_SIZE, Box, Scale, begin, say_empty, spread, time_labels, value_axis
from services.reporting.render.palette import Palette
from services.reporting.render.picture import Picture, Point

NAME_ROOM = 220.0
LOWEST_RANK = 15
COLOURED = 3
LABELLED_DAYS = 200
"""With more days than this the labels say the month and the year."""


def draw_rank_history(chart: RankHistory, palette: Palette) -> Picture:
    picture, box = begin(chart.heading, palette)
    if not chart.lines:
        say_empty(picture, box, "Ranks appear here as soon as the first code is redeemed.")
        return picture
    inner = box.inset(left=34, right=NAME_ROOM, top=22, bottom=26)
    lowest = min(LOWEST_RANK, max(rank for line in chart.lines for rank in line.ranks if rank is not None))
    scale = Scale(max(2, lowest), inner.top + 8, inner.bottom - 8, low=1)
    xs = _along(inner, len(chart.days))
    _rank_axis(picture, box, inner, scale, lowest)
    step = Step.MONTH if (chart.days[-1] - chart.days[0]).days > LABELLED_DAYS else Step.DAY
    time_labels(picture, inner.bottom + 18, xs, chart.days, step)
    colors = _colors(chart.lines, palette)
    for line, color in reversed(list(zip(chart.lines, colors, strict=True))):
        for stretch in _stretches(line, xs, scale, lowest):
            picture.path(stretch, palette.ground, width=6)
            picture.path(stretch, color, width=3 if color != palette.rest else 2)
        last = line.ranks[-1]
        if last is not None and last <= lowest:
            picture.dot(xs[-1], scale(last), 4.5, color, ring=palette.ground)
    _name_lines(picture, inner, chart, colors, scale, lowest)
    return picture


def _rank_axis(picture: Picture, box: Box, inner: Box, scale: Scale, lowest: int) -> None:
    picture.text(box.left, box.top + 8, "rank", size=AXIS_SIZE, color=picture.palette.muted)
    for rank in range(1, lowest + 1):
        if rank in (1, lowest) or (rank % 5 == 0 and lowest - rank > 1):
            picture.line((inner.left, scale(rank)), (inner.right, scale(rank)), picture.palette.hairline)
            picture.text(inner.left - 10, scale(rank) + 4, str(rank), size=AXIS_SIZE, color=picture.palette.muted, anchor="end")


def _stretches(line: RankLine, xs: list[float], scale: Scale, lowest: int) -> list[list[Point]]:
    """The parts of a line where the store has a rank; from ranks below the lowest shown it rises out of the lower edge."""
    stretches: list[list[Point]] = [[]]
    edge = scale(lowest) + 8
    points = [None if rank is None else (x, min(edge, scale(rank))) for x, rank in zip(xs, line.ranks, strict=True)]
    for n, point in enumerate(points):
        near = [p for p in points[max(0, n - 1) : n + 2] if p is not None]
        if point is not None and min(y for _, y in near) < edge:
            stretches[-1].append(point)
        elif stretches[-1]:
            stretches.append([])
    return [_doubled(stretch) for stretch in stretches if stretch]


def _doubled(stretch: list[Point]) -> list[Point]:
    """A single day gets a short dash, so that there is a line to see."""
    return stretch if len(stretch) > 1 else [(stretch[0][0] - 4, stretch[0][1]), stretch[0]]


def _name_lines(picture: Picture, inner: Box, chart: RankHistory, colors: list[str], scale: Scale, lowest: int) -> None:
    wanted = [scale(min(line.ranks[-1] or lowest, lowest)) for line in chart.lines]
    placed = spread(wanted, 20, inner.top, inner.bottom)
    for line, color, y in zip(chart.lines, colors, placed, strict=True):
        figure = words.number(line.score)
        room = NAME_ROOM - 26 - width_of(figure, 13, True)
        text_color = picture.palette.text_of(color)
        picture.text(inner.right + 14, y + 4.5, shortened(line.label, 13, room), size=13, color=text_color)
        picture.text(inner.right + NAME_ROOM, y + 4.5, figure, size=13, color=text_color, bold=True, anchor="end")


def _colors(lines: tuple[RankLine, ...], palette: Palette) -> list[str]:
    """The three best in colour, or those asked about; the rest grey."""
    asked = [n for n, line in enumerate(lines) if line.marked]
    coloured = asked or list(range(min(COLOURED, len(lines))))
    by_line = {n: palette.series[place % len(palette.series)] for place, n in enumerate(coloured)}
    return [by_line.get(n, palette.rest) for n in range(len(lines))]


def draw_burn_down(chart: BurnDown, palette: Palette) -> Picture:
    picture, box = begin(chart.heading, palette)
    if not any(chart.left):
        say_empty(picture, box, "Codes appear here as soon as a batch is published.")
        return picture
    scale, inner = value_axis(picture, box.inset(right=96), max(chart.left), "codes left")
    days = days_between(chart.days[0], max(chart.days[-1], chart.ends_on))
    xs = _along(inner, len(days))
    points = [(x, scale(value)) for x, value in zip(xs, chart.left, strict=False)]
    picture.area([(points[0][0], inner.bottom), *points, (points[-1][0], inner.bottom)], palette.ramp[1])
    time_labels(picture, inner.bottom + 18, xs, days, Step.MONTH if step_for(days[0], days[-1]) is Step.MONTH else Step.DAY)
    if len(points) > 1:
        picture.path(points, palette.accent, width=2.5)
    _expect(picture, inner, chart, points[-1], scale)
    picture.dot(*points[-1], 5, palette.accent, ring=palette.ground)
    return picture


def _expect(picture: Picture, inner: Box, chart: BurnDown, now: Point, scale: Scale) -> None:
    """Today's figure, and where the last week's pace leads by the end."""
    palette = picture.palette
    figure = words.number(chart.left[-1])
    if chart.expected is None:
        picture.text(inner.right + 10, now[1] + 4.5, figure, size=13, color=palette.accent, bold=True)
        return
    end = (inner.right, scale(chart.expected))
    picture.path([now, end], palette.rest_text, width=2, dash=[5, 4])
    picture.dot(*end, 4, palette.rest_text, ring=palette.ground)
    beside = min(end[1], inner.bottom - 15)
    picture.text(end[0] + 10, beside + 1, words.number(chart.expected), size=13, color=palette.rest_text, bold=True)
    picture.text(end[0] + 10, beside + 16, "expected", size=AXIS_SIZE, color=palette.rest_text)
    half = width_of(figure, 13, True) / 2
    x = min(max(now[0], inner.left + half + 8), inner.right - half)
    y = now[1] - 10 if now[1] - 24 > inner.top else now[1] + 22
    picture.text(x, y, figure, size=13, color=palette.accent, bold=True, anchor="middle")


def _along(inner: Box, count: int) -> list[float]:
    if count == 1:
        return [inner.left + inner.width / 2]
    return [inner.left + inner.width * n / (count - 1) for n in range(count)]
