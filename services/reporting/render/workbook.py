"""A sheet as an Excel workbook: figures as numbers, shares as percentages, times as times; texts never as formulas.

Row by row from one file to another, so that its size does not show in the memory of the process.
"""

import csv
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from xlsxwriter import Workbook

TEXTS: Final = ("store_id", "store_name", "chain", "region", "country")
SHARES: Final = ("rate", "share_of_total")
OPTIONS: Final = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "remove_timezone": True}
Write = Callable[[int, int, str], None]


def draw_workbook(title: str, as_of: datetime, columns: Sequence[str], source: Path, target: Path) -> int:
    """One sheet: `Time UTC` on top, then the names, frozen, then the rows of `source`. Gives their number.

    `source` is CSV as Postgres writes it, without header: times in ISO 8601, shares as fractions, nothing as an empty cell.
    """
    with Workbook(str(target), OPTIONS) as book:
        book.set_properties({"title": title, "author": "Counterfoil reporting"})
        sheet: Any = book.add_worksheet(title[:31])
        bold = book.add_format({"bold": True, "align": "left", "bottom": 1})
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for n, column in enumerate(columns):
            sheet.set_column(
                n, n, 28 if column.endswith("name") else 20 if column.endswith("_at") else max(11, len(column) + 3)
            )
        sheet.freeze_panes(2, 2)
        sheet.write_string(0, 0, "Time UTC")
        sheet.write_datetime(0, 1, _utc(as_of).replace(microsecond=0), moment)
        for n, column in enumerate(columns):
            sheet.write_string(1, n, column, bold)
        writers = [_writer(sheet, column, moment, book.add_format({"num_format": "0.0###%"})) for column in columns]
        return _write_rows(source, writers)


def _write_rows(source: Path, writers: Sequence[Write]) -> int:
    count = 0
    with source.open(encoding="utf-8", newline="") as lines:
        for count, row in enumerate(csv.reader(lines), 1):
            for n, (cell, write) in enumerate(zip(row, writers, strict=True)):
                if cell:
                    write(count + 1, n, cell)
    return count


def _writer(sheet: Any, column: str, moment: Any, share: Any) -> Write:
    """How the cells of a column are written: its kind follows from its name."""
    if column in TEXTS:
        return lambda row, n, cell: sheet.write_string(row, n, cell)  # noqa: PLW0108 (gives a number, which is not ours)
    if column.endswith("_at"):
        return lambda row, n, cell: sheet.write_datetime(row, n, _utc(datetime.fromisoformat(cell)), moment)
    if column in SHARES:
        return lambda row, n, cell: sheet.write_number(row, n, float(cell), share)
    return lambda row, n, cell: sheet.write_number(row, n, int(cell))


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)
