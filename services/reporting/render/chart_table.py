"""The data of a chart under it, as much as its page takes."""

from collections.abc import Sequence
from typing import Any, Final

from services.reporting.render.fonts import shortened, width_of
from services.reporting.render.frame import wrapped
from services.reporting.render.pages import MARGIN, Pages
from services.reporting.render.palette import LIGHT

SIZE: Final = 9.0
LINE: Final = 15.0
HEAD_LINE: Final = 11.0
LOWEST: Final = 96.0
MOST_COLUMNS: Final = 8
MOST_WIDTH: Final = 96.0
MOST_TEXT_WIDTH: Final = 220.0
"""Columns are no wider than this: a figure far from what it is of is read in the wrong line."""


def draw_chart_table(pages: Pages, y: float, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Too many rows lose their middle, wide ones their last columns, both with a word on what is left out."""
    shown = min(len(columns), MOST_COLUMNS)
    if not rows or shown < 2:
        return
    is_text = [any(isinstance(row[n], str) and not row[n][:1].isdigit() for row in rows) for n in range(shown)]
    widths = [min(pages.room / shown, MOST_TEXT_WIDTH if of_text and n else MOST_WIDTH) for n, of_text in enumerate(is_text)]
    heads = [wrapped(str(column), SIZE, width - 8, lines=2) for column, width in zip(columns, widths, strict=False)]
    y -= HEAD_LINE * (max(map(len, heads)) - 1)
    with pages.tags.group("Table"):
        _row(pages, y, heads, is_text, widths, tag="TH", color=LIGHT.muted)
        pages.hairline(y - 5, color=LIGHT.ink, until=MARGIN + sum(widths))
        for cells in _kept(rows, shown, int((y - LOWEST - LINE) / LINE)):
            y -= LINE
            lines = [[shortened(cell, SIZE, width - 8)] for cell, width in zip(cells, widths, strict=True)]
            _row(pages, y, lines, is_text, widths, tag="TD", color=LIGHT.ink)
    if len(columns) > shown:
        pages.text(MARGIN, y - 18, f"{len(columns) - shown} more columns are in the chart's CSV", SIZE, color=LIGHT.muted)


def _kept(rows: Sequence[Sequence[Any]], columns: int, most: int) -> list[list[str]]:
    """The first and the last rows, with a line that says how many lie between them."""
    half = most // 2
    kept = list(rows) if len(rows) <= most else [*rows[:half], *rows[half - most + 1 :]]
    cells = [[_cell(value) for value in row[:columns]] for row in kept]
    if len(rows) > most:
        cells.insert(half, [f"… {len(rows) - most + 1} more", *[""] * (columns - 1)])
    return cells


def _row(
    pages: Pages,
    y: float,
    cells: Sequence[Sequence[str]],
    is_text: Sequence[bool],
    widths: Sequence[float],
    *,
    tag: str,
    color: str,
) -> None:
    """Texts and the first column on the left of their columns, figures on the right; the last line of a cell is at y."""
    x = MARGIN
    with pages.tags.group("TR"):
        for n, (lines, width) in enumerate(zip(cells, widths, strict=True)):
            with pages.tags.content(tag):
                for above, line in enumerate(reversed(lines)):
                    at_left = n == 0 or is_text[n]
                    left = x + (8 if n else 0) if at_left else x + width - width_of(line, SIZE)
                    pages.text(left, y + HEAD_LINE * above, line, SIZE, tag="", color=color)
            x += width


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "–" if value is None else str(value)
