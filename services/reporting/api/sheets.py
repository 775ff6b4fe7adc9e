"""The five CSV files, streamed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

from services.reporting.api.queries import (
    LedgerQuery,
    PeriodQuery,
    SheetQuery,
    TimeseriesQuery,
    access_of,
    period_problem,
    selected,
)
from services.reporting.domain.periods import InvalidPeriod
from services.reporting.handlers.downloads import Interval, Sheet, columns_of, open_rows
from services.reporting.handlers.freshness import FreshnessBoard
from services.reporting.store.reading import DownloadStore, FigureStore
from shared.web.csv_stream import head, stream_csv
from shared.web.problems import Problem
from shared.web.routes import Call, Route

STALLED_SECONDS: Final = 60.0
"""A client that takes nothing for this long is left alone: it would hold a connection for ever."""
SLOT_SECONDS: Final = 10.0
SCOPES: Final = ("reports", "store:*", "chain:*")
QUERIES: Final[dict[Sheet, type[PeriodQuery]]] = {Sheet.LEDGER: LedgerQuery, Sheet.TIMESERIES: TimeseriesQuery}


class Sheets:
    """Answers with files. At most `slots` stream at once; the others wait a little, then are asked to come back."""

    def __init__(self, figures: FigureStore, downloads: DownloadStore, board: FreshnessBoard, *, slots: int) -> None:
        self._figures = figures
        self._downloads = downloads
        self._board = board
        self._slots = asyncio.Semaphore(slots)

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=f"/v1/campaigns/{{campaign_id}}/{sheet}.csv",
                handler=self._handler(sheet),
                summary=f"{sheet.capitalize()} as CSV (semantics.md), streamed",
                scopes=SCOPES,
                query=QUERIES.get(sheet, SheetQuery),
                content_type="text/csv",
            )
            for sheet in Sheet
        ]

    def _handler(self, sheet: Sheet) -> Callable[[Call[Any, Any]], Awaitable[web.StreamResponse]]:
        async def answer(call: Call[Any, Any]) -> web.StreamResponse:
            return await self._answer(sheet, call)

        return answer

    async def _answer(self, sheet: Sheet, call: Call[Any, Any]) -> web.StreamResponse:
        chosen = await selected(self._figures, call)
        interval = getattr(call.query, "interval", Interval.HOUR)
        try:
            rows = open_rows(
                self._downloads,
                sheet,
                chosen,
                interval=interval,
                hash_players=not access_of(call.caller).everything,
                skip_rows=getattr(call.query, "skip_rows", 0),
            )
        except InvalidPeriod as error:
            raise period_problem(error) from None
        first = head(columns_of(sheet, interval), now=self._board.latest.as_of, plain=call.query.header == "plain")
        async with self._slot(), rows as chunks, asyncio.timeout(None) as stalled:
            return await stream_csv(
                call.request,
                filename=f"{chosen.campaign.id}-{sheet}.csv",
                first=first,
                chunks=await _started(_with_crlf(chunks, stalled)),
            )

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(SLOT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise Problem(503, "Too many downloads run at once; try again shortly", headers={"Retry-After": "10"}) from None
        try:
            yield
        finally:
            self._slots.release()


async def _with_crlf(chunks: AsyncIterator[bytes], stalled: asyncio.Timeout) -> AsyncIterator[bytes]:
    """Line ends of the excel dialect. No cell holds a line end: control characters are refused where they come in."""
    clock = asyncio.get_running_loop()
    async for chunk in chunks:
        stalled.reschedule(clock.time() + STALLED_SECONDS)
        yield chunk.replace(b"\n", b"\r\n")


async def _started(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, the first one already there: a query that fails is answered with an error, not with half a file."""
    first = await anext(chunks, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_of_them()
