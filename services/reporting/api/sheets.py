"""The five CSV files, streamed."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
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
from services.reporting.store.reading import Download, DownloadStore, FigureStore
from shared.web.csv_stream import head, stream_csv
from shared.web.problems import Problem, not_found
from shared.web.routes import Call, Fields, Route

LOOK_SECONDS: Final = 0.5
SLOT_SECONDS: Final = 10.0
SCOPES: Final = ("reports", "store:*", "chain:*")
QUERIES: Final[dict[Sheet, type[PeriodQuery]]] = {Sheet.LEDGER: LedgerQuery, Sheet.TIMESERIES: TimeseriesQuery}


class DownloadAnswer(Fields):
    """A finished download. `bytes` and `sha256` are of the file as a client sees it, before compression for the way."""

    id: str
    file: str
    rows: int
    bytes: int
    sha256: str
    finished_at: datetime


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
        ] + [
            Route(
                method="GET",
                path="/v1/downloads/{download_id}",
                handler=self.describe,
                summary="Rows, bytes and SHA-256 of a finished download (its Link header names it)",
                scopes=SCOPES,
                answer=DownloadAnswer,
            )
        ]

    async def describe(self, call: Call[Any, Any]) -> DownloadAnswer:
        found = await self._figures.download(call.path["download_id"], token_id=call.caller.token_id)
        if found is None:
            raise not_found("finished download of this token")
        return DownloadAnswer(**{name: getattr(found, name) for name in found.__slots__})

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
        filename, counting = f"{chosen.campaign.id}-{sheet}.csv", _Counting()
        first = head(columns_of(sheet, interval), now=self._board.latest.as_of, plain=call.query.header == "plain")

        async def described(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            """The chunks; what they came to is there before the file ends: whoever has it may ask at once."""
            async for chunk in counting.through(chunks):
                yield chunk
            await self._figures.describe_download(counting.result(filename), token_id=call.caller.token_id)

        async with self._slot(), while_there(call.request), rows as chunks:
            return await stream_csv(
                call.request,
                filename=filename,
                first=counting.heading(first),
                chunks=described(await _started(_with_crlf(chunks))),
                headers={"Link": f'</v1/downloads/{counting.id}>; rel="describedby"'},
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


@asynccontextmanager
async def while_there(request: web.Request) -> AsyncIterator[None]:
    """Ends the block, and the query in it, once its client is gone, be it that Postgres still works on the first row.

    Raises ConnectionResetError then. A client that is there but takes nothing is let go of by `ConnectionGuard`.
    """
    clock = asyncio.get_running_loop()

    async def watch(limit: asyncio.Timeout) -> None:
        while request.transport is not None:  # noqa: ASYNC110 (aiohttp tells it in no other way)
            await asyncio.sleep(LOOK_SECONDS)
        limit.reschedule(clock.time())

    try:
        async with asyncio.timeout(None) as limit:
            watching = asyncio.create_task(watch(limit), name="client is there")
            try:
                yield
            finally:
                watching.cancel()
    except TimeoutError:
        if request.transport is not None:
            raise
        raise ConnectionResetError("the client left") from None


class _Counting:
    """Counts and hashes a download while it passes."""

    def __init__(self) -> None:
        self.id = secrets.token_urlsafe(12)
        self._hash = hashlib.sha256()
        self._rows = self._bytes = 0

    def heading(self, first: bytes) -> bytes:
        self._take(first)
        return first

    async def through(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self._take(chunk)
            self._rows += chunk.count(b"\n")
            yield chunk

    def result(self, file: str) -> Download:
        return Download(id=self.id, file=file, rows=self._rows, bytes=self._bytes, sha256=self._hash.hexdigest())

    def _take(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self._bytes += len(chunk)


async def _with_crlf(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Line ends of the excel dialect. No cell holds a line end: control characters are refused where they come in."""
    async for chunk in chunks:
        yield chunk.replace(b"\n", b"\r\n")


async def _started(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, the first one already there: a query that fails is answered with an error, not with half a file."""
    first = await anext(chunks, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_of_them()
