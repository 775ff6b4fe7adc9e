"""Batches: plan, order, watch, publish, cancel, resume, pause."""

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from pydantic import Field, model_validator

from services.codegen.api.answers import ADMIN, PageQuery, before_number, page_of, refusing
from services.codegen.domain.batches import CODES_LIMIT, STORES_LIMIT, BatchOrder, BatchRow, BatchView, Plan, view_of
from services.codegen.handlers.batches import BatchHandlers
from shared.contracts.codegen import BatchState
from shared.web.problems import Problem, unreadable
from shared.web.routes import Answer, Call, Fields, NoFields, Route, to_json
from shared.web.tokens import TokenDirectory

ONE_BATCH: Final = "/v1/batches/{batch_id}"
LOOK_SECONDS: Final = 0.2
KEEP_ALIVE_SECONDS: Final = 15.0
RESTING: Final = (BatchState.READY, BatchState.PUBLISHED, BatchState.FAILED, BatchState.CANCELLED)

Count = Annotated[int, Field(strict=True, ge=1, le=CODES_LIMIT)]


class AllotmentBody(Fields):
    store_id: Annotated[str, Field(min_length=1, max_length=64)]
    count: Count


class BatchBody(Fields):
    """A batch to be made: allotments store by store, or the same count for every store there is."""

    campaign_id: Annotated[str, Field(min_length=1, max_length=64)]
    allotments: Annotated[list[AllotmentBody], Field(min_length=1, max_length=STORES_LIMIT)] | None = None
    count_per_store: Count | None = None
    stores: Literal["all"] | None = None
    publish: Annotated[bool, Field(strict=True, description="Publish as soon as it is verified")] = False

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "BatchBody":
        per_store = self.count_per_store is not None or self.stores is not None
        if (self.allotments is not None) == per_store:
            message = 'give either allotments, or count_per_store with "stores": "all"'
            raise ValueError(message)
        if per_store and (self.count_per_store is None or self.stores is None):
            message = 'count_per_store and "stores": "all" go together'
            raise ValueError(message)
        return self

    def order(self) -> BatchOrder:
        return BatchOrder(
            campaign_id=self.campaign_id,
            allotments=None if self.allotments is None else tuple((a.store_id, a.count) for a in self.allotments),
            count_per_store=self.count_per_store,
            publish=self.publish,
        )


class BatchChanges(Fields):
    paused: Annotated[bool, Field(strict=True, description="Whether its codes are refused for now")]


class BatchPageQuery(PageQuery):
    campaign_id: Annotated[str | None, Field(max_length=64, description="Only this campaign's batches")] = None


class BatchQuery(Fields):
    allotments: Annotated[bool, Field(description="Also the stores, with how much of each is loaded")] = False


class BatchPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[BatchView]
    next_cursor: str | None


class BatchRoutes:
    def __init__(self, batches: BatchHandlers, tokens: TokenDirectory) -> None:
        self._batches = batches
        self._tokens = tokens

    def routes(self) -> list[Route]:
        return [*self._orders(), *self._one_batch(), *self._actions()]

    def _orders(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/batches/plan",
                handler=refusing(self.plan),
                summary="What a batch would take and do to the odds of a guess; nothing is made",
                scopes=ADMIN,
                body=BatchBody,
                answer=Plan,
                reads=True,
            ),
            Route(
                method="POST",
                path="/v1/batches",
                handler=refusing(self.create),
                summary="Orders a batch; the header Idempotency-Key makes asking again safe",
                scopes=ADMIN,
                body=BatchBody,
                answer=BatchView,
                status=202,
                problems=(409,),
            ),
            Route(
                method="GET",
                path="/v1/batches",
                handler=refusing(self.page),
                summary="Lists batches, newest first",
                scopes=ADMIN,
                query=BatchPageQuery,
                answer=BatchPage,
            ),
        ]

    def _one_batch(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=ONE_BATCH,
                handler=refusing(self.read),
                summary="A batch with its progress",
                scopes=ADMIN,
                query=BatchQuery,
                answer=BatchView,
            ),
            Route(
                method="PATCH",
                path=ONE_BATCH,
                handler=refusing(self.change),
                summary="Pauses a batch: its codes are refused until it goes on",
                scopes=ADMIN,
                body=BatchChanges,
                answer=BatchView,
                problems=(409,),
            ),
            Route(
                method="GET",
                path=f"{ONE_BATCH}/progress",
                handler=refusing(self.progress),
                summary="The batch as server-sent events, one for each change, until it rests",
                scopes=ADMIN,
                query=BatchQuery,
                content_type="text/event-stream",
            ),
        ]

    def _actions(self) -> list[Route]:
        actions = (
            ("publish", self.publish, "Makes the codes valid; answers once the other services can know"),
            ("cancel", self.cancel, "Ends a batch that is not published; leaves no row of it"),
            ("resume", self.resume, "Goes on with a batch that failed, from its last loaded block"),
        )
        return [
            Route(
                method="POST",
                path=f"{ONE_BATCH}/{action}",
                handler=refusing(handler),
                summary=summary,
                scopes=ADMIN,
                body=NoFields,
                answer=BatchView,
                problems=(409,),
            )
            for action, handler, summary in actions
        ]

    async def plan(self, call: Call[Any, BatchBody]) -> Plan:
        return await self._batches.plan(call.body.order(), now=datetime.now(UTC))

    async def create(self, call: Call[Any, BatchBody]) -> Answer:
        batch, _ = await self._batches.create(
            call.body.order(),
            idempotency_key=_idempotency_key(call.request),
            request=call.body.model_dump_json().encode(),
            actor=call.caller.token_id,
            now=datetime.now(UTC),
        )
        location = {"Location": f"/v1/batches/{batch.id}"}
        return Answer(value=view_of(batch), status=HTTPStatus.ACCEPTED, headers=location)

    async def page(self, call: Call[BatchPageQuery, Any]) -> BatchPage:
        limit = call.query.limit
        found = await self._batches.page(before_number(call.query), limit + 1, call.query.campaign_id)
        items, cursor = page_of(found, limit, lambda batch: str(batch.number))
        return BatchPage(items=[view_of(batch) for batch in items], next_cursor=cursor)

    async def read(self, call: Call[BatchQuery, Any]) -> BatchView:
        return await self._view(call.path["batch_id"], allotments=call.query.allotments)

    async def change(self, call: Call[Any, BatchChanges]) -> BatchView:
        batch = await self._batches.pause(
            call.path["batch_id"], call.body.paused, actor=call.caller.token_id, now=datetime.now(UTC)
        )
        return view_of(batch)

    async def publish(self, call: Call[Any, Any]) -> BatchView:
        return view_of(await self._batches.publish(call.path["batch_id"], **_by(call)))

    async def cancel(self, call: Call[Any, Any]) -> BatchView:
        return view_of(await self._batches.cancel(call.path["batch_id"], **_by(call)))

    async def resume(self, call: Call[Any, Any]) -> BatchView:
        return view_of(await self._batches.resume(call.path["batch_id"], **_by(call)))

    async def progress(self, call: Call[BatchQuery, Any]) -> web.StreamResponse:
        """Events `progress` with the batch as data; the last one is of a batch that rests. Broken off when the token ends."""
        view = await self._view(call.path["batch_id"], allotments=call.query.allotments)
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(call.request)
        await self._stream(response, view, call)
        return response

    async def _stream(self, response: web.StreamResponse, view: BatchView, call: Call[BatchQuery, Any]) -> None:
        sent, quiet = b"", 0.0
        while True:
            data = to_json(view)
            if data != sent:
                await response.write(b"event: progress\ndata: " + data + b"\n\n")
                sent, quiet = data, 0.0
            elif quiet >= KEEP_ALIVE_SECONDS:
                await response.write(b": still here\n\n")
                quiet = 0.0
            if view.state in RESTING:
                return
            await asyncio.sleep(LOOK_SECONDS)
            if not self._tokens.holds(call.caller, now=datetime.now(UTC)):
                raise Problem(HTTPStatus.UNAUTHORIZED, "This token has ended")
            quiet += LOOK_SECONDS
            view = await self._view(view.id, allotments=call.query.allotments)

    async def _view(self, batch_id: str, *, allotments: bool) -> BatchView:
        batch: BatchRow = await self._batches.find(batch_id)
        return view_of(batch, await self._batches.allotments(batch) if allotments else None)


def _by(call: Call[Any, Any]) -> dict[str, Any]:
    return {"actor": call.caller.token_id, "now": datetime.now(UTC)}


def _idempotency_key(request: web.Request) -> str:
    key = request.headers.get("Idempotency-Key", "").strip()
    if not key:
        raise unreadable("Send the header Idempotency-Key: a text of your own that is new for every batch")
    if len(key) > 255 or not key.isprintable():
        raise unreadable("Idempotency-Key must be printable and have at most 255 characters")
    return key
