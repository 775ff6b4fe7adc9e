"""Exports as CSV: the codes of a batch or a store, the manifest."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from services.codegen.api.answers import ADMIN, refusing
from services.codegen.handlers.exports import CODES_COLUMNS, MANIFEST_COLUMNS, ExportHandlers
from shared.web.csv_stream import head, stream_csv, write_rows
from shared.web.routes import Call, Fields, Route


class ManifestQuery(Fields):
    header: Annotated[Literal["plain"] | None, Field(description="plain leaves the row with the time out")] = None


class CodesQuery(ManifestQuery):
    store_id: Annotated[str | None, Field(max_length=64, description="Only this store's codes")] = None
    after_serial: Annotated[int, Field(ge=0, le=2**62, description="Go on after this serial")] = 0


class ExportRoutes:
    def __init__(self, exports: ExportHandlers) -> None:
        self._exports = exports

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/batches/{batch_id}/codes.csv",
                handler=refusing(self.codes),
                summary="The codes, grouped for print, in serial order; streamed, and resumable by after_serial",
                scopes=ADMIN,
                query=CodesQuery,
                content_type="text/csv",
                problems=(409,),
            ),
            Route(
                method="GET",
                path="/v1/batches/{batch_id}/manifest.csv",
                handler=refusing(self.manifest),
                summary="A row a store: count, serials, SHA-256 of its codes",
                scopes=ADMIN,
                query=ManifestQuery,
                content_type="text/csv",
                problems=(409,),
            ),
        ]

    async def codes(self, call: Call[CodesQuery, Any]) -> web.StreamResponse:
        now, query = datetime.now(UTC), call.query
        export = await self._exports.begin_codes(
            call.path["batch_id"], query.store_id, query.after_serial, actor=call.caller.token_id, now=now
        )
        name = f"codes-{export.batch.id}.csv"
        first = head(CODES_COLUMNS, now=now, plain=query.header == "plain")
        return await stream_csv(call.request, filename=name, first=first, chunks=self._exports.codes(export))

    async def manifest(self, call: Call[ManifestQuery, Any]) -> web.StreamResponse:
        now, batch_id = datetime.now(UTC), call.path["batch_id"]
        allotments = await self._exports.manifest(batch_id, actor=call.caller.token_id, now=now)

        async def rows() -> AsyncIterator[bytes]:
            for start in range(0, len(allotments), 1_000):
                yield write_rows(
                    (a.store_id, a.store_name, a.count, a.first_serial, a.last_serial, a.sha256.hex() if a.sha256 else None)
                    for a in allotments[start : start + 1_000]
                )

        first = head(MANIFEST_COLUMNS, now=now, plain=call.query.header == "plain")
        return await stream_csv(call.request, filename=f"manifest-{batch_id}.csv", first=first, chunks=rows())
