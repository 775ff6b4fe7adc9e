"""Stores: put thousands at once, list."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import orjson
from pydantic import Field

from services.codegen.api.answers import ADMIN, PageQuery, after, page_of, refusing
from services.codegen.domain.refusals import wrong
from services.codegen.domain.stores import Unreadable, checked_stores, stores_from_csv
from services.codegen.handlers.stores import StoreHandlers, StoresPut
from shared.contracts.codegen import Store
from shared.web.routes import Call, Fields, Route


class StoreBody(Fields):
    """A store as it is put; the row is replaced as a whole."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    chain: Annotated[str, Field(max_length=64)] | None = None
    region: Annotated[str, Field(max_length=32)] | None = None
    country: Annotated[str, Field(max_length=32)] | None = None
    peer_group: Annotated[str, Field(max_length=64)] | None = None
    hidden: bool = False
    test: bool = False
    paused: bool = False


class StoresAnswer(Fields):
    """How many of the list were added, replaced, and there already."""

    created: int
    updated: int
    unchanged: int


class StorePage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Store]
    next_cursor: str | None


class StoreRoutes:
    def __init__(self, stores: StoreHandlers) -> None:
        self._stores = stores

    def routes(self) -> list[Route]:
        return [
            Route(
                method="PUT",
                path="/v1/stores",
                handler=refusing(self.put),
                summary="Adds and replaces stores, as JSON or CSV; all or nothing, every bad row named",
                scopes=ADMIN,
                answer=StoresAnswer,
                accepts=("application/json", "text/csv"),
                problems=(400, 413, 415, 422),
            ),
            Route(
                method="GET",
                path="/v1/stores",
                handler=refusing(self.page),
                summary="Lists stores in the order of their ids",
                scopes=ADMIN,
                query=PageQuery,
                answer=StorePage,
            ),
        ]

    async def put(self, call: Call[Any, Any]) -> StoresPut:
        stores = checked_stores(await read_rows(call))
        return await self._stores.put(stores, actor=call.caller.token_id, now=datetime.now(UTC))

    async def page(self, call: Call[PageQuery, Any]) -> StorePage:
        limit = call.query.limit
        found = await self._stores.page(after(call.query), limit + 1)
        items, cursor = page_of(found, limit, lambda store: store.id)
        return StorePage(items=list(items), next_cursor=cursor)


async def read_rows(call: Call[Any, Any]) -> list[Any]:
    """The rows of the body, CSV or JSON by its content type. Raises Unreadable, Wrong."""
    raw = await call.request.read()
    if call.request.content_type == "text/csv":
        return list(stores_from_csv(raw))
    if not raw:
        raise Unreadable("The request has no body; send a JSON list or CSV of stores")
    try:
        rows = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"The body is not JSON: {error}") from None
    if not isinstance(rows, list):
        raise wrong("(body)", "must be a list of stores")
    return rows
