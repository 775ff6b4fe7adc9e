"""A sheet as an Excel workbook: figures as numbers, shares as percentages, times as times; texts never as formulas."""

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font

SHARES: Final = ("rate", "share_of_total")
TIME_FORMAT: Final = "yyyy-mm-dd hh:mm:ss"


def draw_workbook(title: str, as_of: datetime, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """One sheet, written row by row: `Time UTC` on top, then the names, frozen, then the rows."""
    book = Workbook(write_only=True)
    book.properties.title = title
    book.properties.creator = "Counterfoil reporting"
    sheet = book.create_sheet(title[:31])
    sheet.freeze_panes = "C3"
    for n, column in enumerate(columns):
        sheet.column_dimensions[_letter(n)].width = 28 if column.endswith("name") else max(11, len(column) + 3)
    sheet.append([_cell(sheet, "Time UTC"), _cell(sheet, as_of.replace(microsecond=0))])
    sheet.append([_head(sheet, column) for column in columns])
    for row in rows:
        sheet.append([_cell(sheet, value, share=column in SHARES) for column, value in zip(columns, row, strict=True)])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _head(sheet: Any, text: str) -> Any:
    cell = WriteOnlyCell(sheet, value=text)
    cell.font = Font(bold=True)
    cell.alignment = Alignment(horizontal="left")
    return cell


def _cell(sheet: Any, value: Any, *, share: bool = False) -> Any:
    if isinstance(value, datetime):
        cell = WriteOnlyCell(sheet, value=value.astimezone(UTC).replace(tzinfo=None))
        cell.number_format = TIME_FORMAT
        return cell
    cell = WriteOnlyCell(sheet, value=value)
    if isinstance(value, str):
        cell.data_type = "s"
    elif share:
        cell.number_format = "0.0###%"
    return cell


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else f"A{chr(ord('A') + index - 26)}"
