"""The head-office report as one PDF: a cover, one idea a page, tables, and what each figure means.

Pages are drawn without looking back; the contents are drawn first, as the number of pages of every part is known beforehand.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from reportlab.lib.colors import HexColor

from services.reporting.domain.report import Report, ReportTable
from services.reporting.render.chart_table import draw_chart_table
from services.reporting.render.charts.drawing import AnyChart, draw
from services.reporting.render.fonts import shortened, width_of
from services.reporting.render.frame import HEIGHT, WIDTH, wrapped
from services.reporting.render.frame import MARGIN as FRAME
from services.reporting.render.pages import MARGIN, Pages, Paper
from services.reporting.render.palette import LIGHT
from services.reporting.render.picture import draw_on

ROW: Final = 20.0
NAME_SIZES: Final = ((38.0, 2), (30.0, 3), (24.0, 4))
"""Sizes of the campaign's name on the cover, and how many lines it may take in each."""
FOOTER_ROOM: Final = 64.0
PRINTED: Final = replace(LIGHT, ground="#FFFFFF")


@dataclass(frozen=True, slots=True)
class Part:
    """An entry of the contents and the pages behind it."""

    title: str
    pages: tuple[Callable[[Pages], None], ...]


def draw_report(report: Report, paper: Paper) -> bytes:
    """The report's bytes."""
    pages = Pages(paper, report)
    parts = [*_chart_parts(report), *_table_parts(report, pages), Part("What the figures mean", (_definitions(report),))]
    total = 2 + sum(len(part.pages) for part in parts)
    _cover(pages, report)
    pages.tags.show_page()
    _contents(pages, parts, total)
    number = 3
    for part in parts:
        pages.canvas.bookmarkPage(part.title)
        pages.canvas.addOutlineEntry(part.title, part.title, level=0)
        for page in part.pages:
            page(pages)
            _number(pages, number, total)
            pages.tags.show_page()
            number += 1
    pages.tags.finish(title=pages.title, subject=pages.subject)
    pages.canvas.save()
    return pages.out.getvalue()


def _cover(pages: Pages, report: Report) -> None:
    canvas, height = pages.canvas, pages.height
    canvas.bookmarkPage("cover")
    canvas.addOutlineEntry("Cover", "cover", level=0)
    with pages.tags.decoration():
        canvas.setFillColor(HexColor(LIGHT.ground))
        canvas.rect(0, 0, pages.width, height, stroke=0, fill=1)
        canvas.setFillColor(HexColor(LIGHT.accent))
        canvas.rect(0, height - 14, pages.width, 14, stroke=0, fill=1)
    pages.text(MARGIN, height - 96, "Campaign report", 13, color=LIGHT.accent, bold=True)
    y = height - 146
    size, lines = _name_lines(report.campaign, pages.room)
    for line in lines:
        pages.text(MARGIN, y, line, size, tag="H1", bold=True)
        y -= 1.2 * size
    pages.text(MARGIN, y + 8, shortened(report.when, 13, pages.room), 13, color=LIGHT.muted)
    y -= 60
    for n, figure in enumerate(report.figures):
        x = MARGIN + (n % 2) * (pages.room / 2 + 8)
        top = y - (n // 2) * 132
        with pages.tags.decoration():
            canvas.setStrokeColor(HexColor(LIGHT.ink))
            canvas.setLineWidth(1)
            canvas.line(x, top, x + pages.room / 2 - 16, top)
        pages.text(x, top - 22, figure.label, 12, color=LIGHT.muted)
        pages.text(x, top - 66, figure.value, 40, bold=True)
        pages.text(x, top - 88, shortened(figure.remark, 11, pages.room / 2 - 16), 11, color=LIGHT.muted)
    y -= 300
    pages.text(MARGIN, y, "What stands out", 13, tag="H2", color=LIGHT.accent, bold=True)
    for finding in list(dict.fromkeys(report.findings))[: min(6, int((y - FOOTER_ROOM) / 24))]:
        y -= 24
        pages.text(MARGIN, y, shortened(finding, 12, pages.room), 12)
    pages.text(MARGIN, 44, shortened(report.footer, 10, pages.room), 10, color=LIGHT.muted)


def _name_lines(name: str, room: float) -> tuple[float, list[str]]:
    """The campaign's name as large as it can be in few lines; it is shortened only where the smallest size does not help."""
    for size, most in NAME_SIZES:
        lines = wrapped(name, size, room, lines=most + 1)
        if len(lines) <= most:
            return size, lines
    return size, wrapped(name, size, room, lines=most)


def _contents(pages: Pages, parts: Sequence[Part], total: int) -> None:
    pages.canvas.bookmarkPage("contents")
    pages.canvas.addOutlineEntry("Contents", "contents", level=0)
    y = pages.heading("Contents", "Each line leads to its page")
    number = 3
    with pages.tags.group("TOC"):
        for part in parts:
            area = (MARGIN, y - 8, pages.width - MARGIN, y + 16)
            with pages.tags.group("TOCI"), pages.tags.link(part.title, area, f"{part.title}, page {number}"):
                pages.text(MARGIN, y, part.title, 12.5, tag="")
                pages.right(pages.width - MARGIN, y, str(number), 12.5, tag="", color=LIGHT.muted)
            pages.hairline(y - 9)
            y -= 30
            number += len(part.pages)
    _number(pages, 2, total)
    pages.tags.show_page()


def _chart_parts(report: Report) -> Iterator[Part]:
    for chart in report.charts:
        yield Part(chart.heading.name, (_chart_page(chart),))


def _chart_page(chart: Any) -> Callable[[Pages], None]:
    def page(pages: Pages) -> None:
        scale = pages.room / (WIDTH - 2 * FRAME)
        bottom = pages.height - 40 - HEIGHT * scale
        picture = _picture(chart)
        with pages.tags.content("Figure", alt=f"{picture.title}: {picture.description}"):
            pages.canvas.saveState()
            pages.canvas.translate(MARGIN - FRAME * scale, bottom)
            pages.canvas.scale(scale, scale)
            draw_on(pages.canvas, picture, 0, 0)
            pages.canvas.restoreState()
        columns, rows = chart.table()
        draw_chart_table(pages, bottom - 14, columns, rows)

    return page


def _picture(chart: AnyChart) -> Any:
    return draw(chart, PRINTED)


def _table_parts(report: Report, pages: Pages) -> Iterator[Part]:
    a_page = int((pages.height - 136 - 100) / ROW)
    for table in report.tables:
        starts = range(0, max(1, len(table.rows)), a_page)
        yield Part(table.title, tuple(_table_page(table, start, a_page) for start in starts))


def _table_page(table: ReportTable, start: int, count: int) -> Callable[[Pages], None]:
    def page(pages: Pages) -> None:
        y = pages.heading(table.title, table.remark)
        widths = _widths(table, pages.room)
        with pages.tags.group("Table"):
            _row(pages, y, table.columns, table, widths, tag="TH", color=LIGHT.muted)
            pages.hairline(y - 6, color=LIGHT.ink)
            for row in table.rows[start : start + count]:
                y -= ROW
                _row(pages, y, row, table, widths, tag="TD", bold=row[0] == "All")
                pages.hairline(y - 6)

    return page


def _widths(table: ReportTable, room: float) -> list[float]:
    """Figures take what they need; the texts share what is left, a rank before them being narrow."""
    figures = [
        14 + max(width_of(row[n], 10, True) for row in (table.columns, *table.rows))
        for n in range(table.figures_from, len(table.columns))
    ]
    left = room - sum(figures)
    if table.figures_from == 1:
        return [left, *figures]
    return [40.0, (left - 40) * 0.64, (left - 40) * 0.36, *figures]


def _row(pages: Pages, y: float, row: Sequence[str], table: ReportTable, widths: Sequence[float], **style: Any) -> None:
    x = MARGIN
    with pages.tags.group("TR"):
        for n, (cell, width) in enumerate(zip(row, widths, strict=True)):
            if n < table.figures_from:
                pages.text(x, y, shortened(cell, 10, width - 8, bool(style.get("bold", False))), 10, **style)
            else:
                pages.right(x + width, y, cell, 10, **style)
            x += width


def _definitions(report: Report) -> Callable[[Pages], None]:
    def page(pages: Pages) -> None:
        y = pages.heading("What the figures mean", "How each figure of this report is defined")
        for name, meaning in report.definitions:
            with pages.tags.content("P"):
                pages.text(MARGIN, y, name, 11, tag="", bold=True)
                for line in _lines(meaning, 11, pages.room - 96):
                    pages.text(MARGIN + 96, y, line, 11, tag="")
                    y -= 16
            y -= 8

    return page


def _lines(text: str, size: float, room: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if width_of(longer, size) > room and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _number(pages: Pages, number: int, total: int) -> None:
    pages.hairline(58)
    with pages.tags.decoration():
        pages.text(MARGIN, 42, shortened(pages.footer, 9, pages.room - 60), 9, tag="", color=LIGHT.muted)
        pages.right(pages.width - MARGIN, 42, f"{number} / {total}", 9, tag="", color=LIGHT.muted)
