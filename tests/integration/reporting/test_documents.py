"""The report and the workbook of a running service."""

import io

import openpyxl
import pypdfium2
import pytest

from services.reporting.handlers.downloads import PERFORMANCE_COLUMNS
from tests.integration.reporting.system import Reporting
from tests.unit.reporting.history import History
from tests.unit.reporting.recomputation import recompute

pytestmark = pytest.mark.asyncio(loop_scope="module")
C = "/v1/campaigns/spring"


async def _bytes(reporting: Reporting, path: str) -> bytes:
    async with await reporting.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.read()


@pytest.mark.parametrize(("paper", "width"), [("a4", 595), ("letter", 612)])
async def test_the_report_has_figures_contents_and_numbered_pages(
    reporting: Reporting, history: History, paper: str, width: int
) -> None:
    document = pypdfium2.PdfDocument(await _bytes(reporting, f"{C}/report.pdf?paper={paper}"))
    texts = [page.get_textpage().get_text_range() for page in document]
    assert round(document[0].get_width()) == width
    assert f"{sum(f.redeemed for f in recompute(history).values()):,}" in texts[0]
    assert "Contents" in texts[1]
    assert all(f"{n} / {len(texts)}" in text for n, text in enumerate(texts[1:], 2))
    assert "Issued" in texts[-1]
    assert [entry.get_title() for entry in document.get_toc()][:3] == ["Cover", "Contents", "Top stores"]
    assert document.get_metadata_dict()["Title"] == "Spring 2026: report"
    document.close()


async def test_the_workbook_has_the_figures_as_numbers_and_no_formula(reporting: Reporting, history: History) -> None:
    book = openpyxl.load_workbook(io.BytesIO(await _bytes(reporting, f"{C}/performance.xlsx")))
    rows = list(book.active.iter_rows())
    assert rows[0][0].value == "Time UTC"
    assert tuple(cell.value for cell in rows[1]) == PERFORMANCE_COLUMNS
    wanted = recompute(history)
    assert {row[0].value: row[7].value for row in rows[2:]} == {key: f.redeemed for key, f in wanted.items()}
    assert rows[3][1].value == "=SUM(A1)"
    assert rows[3][1].data_type == "s", "a text, not a formula"


async def test_a_store_does_not_get_the_report(reporting: Reporting) -> None:
    async with await reporting.get(f"{C}/report.pdf", "t-store") as response:
        assert response.status == 404
