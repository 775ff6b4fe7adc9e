"""The head-office report as PDF, and the workbook."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import Field

from services.reporting.api.queries import PeriodQuery, selected
from services.reporting.api.sheets import SCOPES, while_there
from services.reporting.handlers.downloads import PERFORMANCE_COLUMNS
from services.reporting.handlers.freshness import FreshnessBoard
from services.reporting.handlers.keeping import Kept
from services.reporting.handlers.reports import gather_report, write_rows
from services.reporting.render.worker import Renderer, draw_report_as_pdf, draw_rows_as_workbook
from services.reporting.store.reading import DownloadStore, FigureStore
from shared.web.csv_stream import BUFFER_BYTES
from shared.web.routes import Answer, Call, Route

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class ReportQuery(PeriodQuery):
    """Of the report."""

    paper: Literal["a4", "letter"] = Field(default="a4", description="The size of its pages")


class Reports:
    """Answers with whole documents, kept for some seconds."""

    def __init__(self, figures: FigureStore, downloads: DownloadStore, board: FreshnessBoard, renderer: Renderer) -> None:
        self._figures = figures
        self._downloads = downloads
        self._board = board
        self._renderer = renderer
        self._kept = Kept[bytes](len)

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
        disposition = f'inline; filename="{chosen.campaign.id}-report.pdf"'
        headers = {"Content-Disposition": disposition, "Cache-Control": "private, max-age=5"}
        return Answer(value=body, content_type="application/pdf", headers=headers)

    async def workbook(self, call: Call[Any, Any]) -> web.StreamResponse:
        """From Postgres into a file, from that into the workbook's file, from that to the client: row by row all the way."""
        chosen = await selected(self._figures, call)
        as_of, rows = self._board.latest.as_of, self._downloads.performance_values(chosen.of)
        with TemporaryDirectory(prefix="counterfoil-") as folder:
            source, target = Path(folder) / "rows.csv", Path(folder) / "performance.xlsx"
            async with while_there(call.request):
                await write_rows(rows, source)
                await self._renderer.run(
                    draw_rows_as_workbook, "performance", as_of, PERFORMANCE_COLUMNS, source=source, target=target
                )
            return await _send(call.request, target, f"{chosen.campaign.id}-performance.xlsx")


async def _send(request: web.Request, path: Path, filename: str) -> web.StreamResponse:
    headers = {"Content-Disposition": f'attachment; filename="{filename}"', "Cache-Control": "private, max-age=5"}
    response = web.StreamResponse(headers=headers)
    response.content_type, response.content_length = XLSX, path.stat().st_size
    await response.prepare(request)
    with path.open("rb") as file:
        while chunk := file.read(BUFFER_BYTES):
            await response.write(chunk)
    await response.write_eof()
    return response
