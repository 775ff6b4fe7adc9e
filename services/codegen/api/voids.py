"""Voids: preview and create."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from pydantic import Field, model_validator

from services.codegen.api.answers import ADMIN, PageQuery, after, page_of, refusing
from services.codegen.domain.refusals import Fault, Wrong, name_fault, wrong
from services.codegen.domain.voids import CODES_LIMIT, VoidPreview, VoidTarget, VoidView
from services.codegen.handlers.codes import CodeHandlers
from services.codegen.handlers.voids import VoidHandlers
from services.codegen.store.voids import StoredVoid
from shared.web.routes import Call, Fields, Route

Serial = Annotated[int, Field(strict=True, ge=1, le=2**62)]
Id = Annotated[str, Field(min_length=1, max_length=64)]


class VoidBody(Fields):
    """Exactly one of: batch_id; campaign_id with store_id; first_serial with last_serial; codes."""

    batch_id: Id | None = None
    campaign_id: Id | None = None
    store_id: Id | None = None
    first_serial: Serial | None = None
    last_serial: Serial | None = None
    codes: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=CODES_LIMIT)] | None = None
    reason: Annotated[str | None, Field(max_length=200)] = None

    @model_validator(mode="after")
    def _names_one_target(self) -> "VoidBody":
        store = (self.campaign_id is not None, self.store_id is not None)
        serials = (self.first_serial is not None, self.last_serial is not None)
        given = [self.batch_id is not None, any(store), any(serials), self.codes is not None]
        if sum(given) != 1 or any(store) != all(store) or any(serials) != all(serials):
            message = "give exactly one of: batch_id; campaign_id and store_id; first_serial and last_serial; codes"
            raise ValueError(message)
        if self.first_serial is not None and self.last_serial is not None and self.first_serial > self.last_serial:
            message = "first_serial must not be above last_serial"
            raise ValueError(message)
        return self


class VoidOrder(VoidBody):
    reason: Annotated[str, Field(min_length=1, max_length=200)]
    confirm_outstanding: Annotated[int, Field(strict=True, ge=0, description="outstanding of the preview")]


class VoidPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[StoredVoid]
    next_cursor: str | None


class VoidRoutes:
    def __init__(self, voids: VoidHandlers, codes: CodeHandlers) -> None:
        self._voids = voids
        self._codes = codes

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/voids/preview",
                handler=refusing(self.preview),
                summary="How many codes a void would reach, and how many it would leave; nothing is made",
                scopes=ADMIN,
                body=VoidBody,
                answer=VoidPreview,
                problems=(409,),
                reads=True,
            ),
            Route(
                method="POST",
                path="/v1/voids",
                handler=refusing(self.create),
                summary="Makes what is outstanding void; answers once the other services can know",
                scopes=ADMIN,
                body=VoidOrder,
                answer=VoidView,
                status=201,
                problems=(409,),
            ),
            Route(
                method="GET",
                path="/v1/voids",
                handler=refusing(self.page),
                summary="Lists voids",
                scopes=ADMIN,
                query=PageQuery,
                answer=VoidPage,
            ),
        ]

    async def preview(self, call: Call[Any, VoidBody]) -> VoidPreview:
        return await self._voids.preview(await self.target(call.body))

    async def create(self, call: Call[Any, VoidOrder]) -> VoidView:
        return await self.order(call.body, {"actor": call.caller.token_id, "now": datetime.now(UTC)})

    async def order(self, body: VoidOrder, by: Mapping[str, Any]) -> VoidView:
        """Makes the void that a body asks for; `by` says who and when."""
        message = name_fault(body.reason)
        if message:
            raise wrong("reason", message)
        target = await self.target(body)
        return await self._voids.create(target, describe(body), confirmed=body.confirm_outstanding, reason=body.reason, **by)

    async def page(self, call: Call[PageQuery, Any]) -> VoidPage:
        limit = call.query.limit
        found = await self._voids.page(after(call.query), limit + 1)
        items, cursor = page_of(found, limit, lambda void: void.id)
        return VoidPage(items=list(items), next_cursor=cursor)

    async def target(self, body: VoidBody) -> VoidTarget:
        """What a body names, its codes as serials. Raises Wrong."""
        serials = None
        if body.codes is not None:
            texts = {f"codes.{place}": code for place, code in enumerate(body.codes)}
            found = await self._codes.serials_of(texts)
            unknown = [Fault(field, "was never issued") for field, serial in zip(texts, found, strict=True) if serial == 0]
            if unknown:
                raise Wrong(*unknown)
            serials = tuple(sorted(set(found)))
        return VoidTarget(
            batch_id=body.batch_id,
            campaign_id=body.campaign_id,
            store_id=body.store_id,
            first_serial=body.first_serial,
            last_serial=body.last_serial,
            serials=serials,
        )


def describe(body: VoidBody) -> dict[str, Any]:
    """The target as it is kept: without codes, of which only the number."""
    kept = body.model_dump(exclude_none=True, include={"batch_id", "campaign_id", "store_id", "first_serial", "last_serial"})
    return kept if body.codes is None else {**kept, "codes": len(body.codes)}
