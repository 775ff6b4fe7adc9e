"""The head-office report as PDF, and the workbook."""

from typing import Any, Final, Literal

from pydantic import Field

from services.reporting.api.queries import PeriodQuery, access_of, selected
from services.reporting.api.sheets import SCOPES
from services.reporting.handlers.charts import KeptBytes
from services.reporting.handlers.downloads import PERFORMANCE_COLUMNS
from services.reporting.handlers.freshness import FreshnessBoard
from services.reporting.handlers.reports import gather_report, workbook_rows
from services.reporting.render.worker import Renderer, draw_report_as_pdf, draw_rows_as_workbook
from services.reporting.store.reading import FigureStore
from shared.web.routes import Answer, Call, Route

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class ReportQuery(PeriodQuery):
    """Of the report."""

    paper: Literal["a4", "letter"] = Field(default="a4", description="The size of its pages")


class Reports:
    """Answers with whole documents, kept for some seconds."""

    def __init__(self, figures: FigureStore, board: FreshnessBoard, renderer: Renderer) -> None:
        self._figures = figures
        self._board = board
        self._renderer = renderer
        self._kept = KeptBytes()

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/campaigns/{campaign_id}/report.pdf",
                handler=self.report,
                summary="The head-office report",
                scopes=("reports",),
                query=ReportQuery,
                content_type="application/pdf",
            ),
            Route(
                method="GET",
                path="/v1/campaigns/{campaign_id}/performance.xlsx",
                handler=self.workbook,
                summary="Performance as an Excel workbook",
                scopes=SCOPES,
                query=PeriodQuery,
                content_type=XLSX,
            ),
        ]

    async def report(self, call: Call[Any, Any]) -> Answer:
        chosen = await selected(self._figures, call)
        asked = call.query.asked
        only = ", ".join([*(asked.stores or ()), *(asked.regions or ()), *(asked.chains or ())][:4])

        async def draw() -> bytes:
            gathered = await gather_report(self._figures, chosen, self._board.latest, only=only)
            return await self._renderer.run(draw_report_as_pdf, gathered, call.query.paper)

        body = await self._kept.get(("report", chosen.campaign.id, call.query), draw)
        return _document(body, "application/pdf", f"{chosen.campaign.id}-report.pdf", "inline")

    async def workbook(self, call: Call[Any, Any]) -> Answer:
        chosen = await selected(self._figures, call)
        as_of = self._board.latest.as_of

        async def draw() -> bytes:
            rows = await workbook_rows(self._figures, chosen)
            return await self._renderer.run(draw_rows_as_workbook, "performance", as_of, PERFORMANCE_COLUMNS, rows)

        body = await self._kept.get(("workbook", chosen.campaign.id, call.query, access_of(call.caller)), draw)
        return _document(body, XLSX, f"{chosen.campaign.id}-performance.xlsx", "attachment")


def _document(body: bytes, content_type: str, filename: str, disposition: str) -> Answer:
    headers = {"Content-Disposition": f'{disposition}; filename="{filename}"', "Cache-Control": "private, max-age=5"}
    return Answer(value=body, content_type=content_type, headers=headers)
