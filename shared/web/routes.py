"""The route table: what each route takes and gives, checked on the way in and written into `/openapi.json`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
import orjson
from aiohttp import web
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from shared.contracts.codec import parse_time
from shared.web.problems import FieldError, from_validation, invalid, not_found, unreadable
from shared.web.tokens import Principal

KEPT_QUERIES: Final = 2_000
KEPT_QUERY_CHARACTERS: Final = 200
_parsed: Final[dict[tuple[type, str], Any]] = {}

Query = TypeVar("Query")
Body = TypeVar("Body")


def _moment(value: Any) -> datetime:
    """A number is refused, as are digits in a text: by its size it would be taken for seconds or for milliseconds."""
    try:
        if isinstance(value, str):
            return parse_time(value)
    except ValueError:
        pass
    message = "must be a time with its offset from UTC, such as 2026-11-22T12:00:00Z"
    raise ValueError(message)


MomentField = Annotated[AwareDatetime, BeforeValidator(_moment)]
"""A time as RFC 3339 writes it, in UTC once it is read."""


class Fields(BaseModel):
    """Base of the models of queries and bodies: an unknown field is refused by name, nothing is changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)


class NoFields(Fields):
    """A query or body without fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Query, Body]):
    """One request, checked. `principal` is None only on routes that need no token."""

    request: web.Request
    path: Mapping[str, str]
    query: Query
    body: Body
    principal: Principal | None

    @property
    def caller(self) -> Principal:
        """The principal of a route that needs a token."""
        if self.principal is None:
            message = "this route needs no token, so it knows no caller"
            raise AssertionError(message)
        return self.principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer with its own status or headers; `value` is written as JSON, bytes as they are."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


Handler = Callable[[Call[Any, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A row of the route table.

    `scopes`: any one of them opens the route, `kind:*` standing for any name; None needs no token. `body` None leaves the
    request's body to the handler. A route with `reads` does not change anything though its method would say so. A handler
    returns a pydantic model, a msgspec struct, plain values, an `Answer`, or a response that it wrote itself.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    scopes: tuple[str, ...] | None
    query: type[Fields] = NoFields
    body: Any = None
    answer: Any = None
    status: int = 200
    content_type: str = "application/json"
    accepts: tuple[str, ...] = ("application/json",)
    problems: tuple[int, ...] = ()
    reads: bool = False
    hidden: bool = False

    @property
    def changes(self) -> bool:
        return self.method != "GET" and not self.reads


async def parse_call(route: Route, request: web.Request, principal: Principal | None) -> Call[Any, Any]:
    """Checks path, query and body. Raises Problem 404, 422 or 400."""
    path = dict(request.match_info)
    if any(len(value) > 256 or not value.isprintable() for value in path.values()):
        raise not_found("resource")
    return Call(
        request=request,
        path=path,
        query=_parse_query(route, request),
        body=await _parse_body(route, request) if route.body is not None else None,
        principal=principal,
    )


def write_answer(route: Route, value: Any) -> web.StreamResponse:
    """The response for what a handler returned."""
    if isinstance(value, web.StreamResponse):
        return value
    answer = value if isinstance(value, Answer) else Answer(value=value, status=route.status, content_type=route.content_type)
    if answer.value is None:
        return web.Response(status=answer.status, headers=answer.headers)
    return web.Response(
        status=answer.status, body=to_json(answer.value), content_type=answer.content_type, headers=answer.headers
    )


def to_json(value: Any) -> bytes:
    """JSON of a pydantic model, a msgspec struct or plain values; bytes are taken to be JSON already."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump_json(by_alias=True).encode()
    return orjson.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    return msgspec.to_builtins(value)


def _parse_query(route: Route, request: web.Request) -> Any:
    """The query's model. Those of short queries are kept: they are the same again and again, and a model never changes."""
    raw = request.rel_url.raw_query_string
    kept = _parsed.get((route.query, raw))
    if kept is not None:
        return kept
    query = _validated_query(route, request)
    if len(raw) <= KEPT_QUERY_CHARACTERS:
        if len(_parsed) >= KEPT_QUERIES:
            _parsed.clear()
        _parsed[route.query, raw] = query
    return query


def _validated_query(route: Route, request: web.Request) -> Any:
    values: dict[str, Any] = {}
    for name in request.query:
        given = request.query.getall(name)
        if len(given) > 1:
            raise invalid(FieldError(name, "is given more than once; separate several values by commas"))
        if "\x00" in given[0]:
            raise invalid(FieldError(name, "holds a NUL character"))
        values[name] = given[0]
    try:
        return route.query.model_validate(values)
    except ValidationError as error:
        raise from_validation(error) from None


async def _parse_body(route: Route, request: web.Request) -> Any:
    raw = await request.read()
    if not raw:
        if isinstance(route.body, type) and issubclass(route.body, NoFields):
            return route.body()
        raise unreadable("The request has no body; send JSON")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise unreadable(f"The body is not JSON: {error}") from None
    if rb"\u0000" in raw:
        raise invalid(FieldError("(body)", "holds a NUL character"))
    try:
        return TypeAdapter(route.body).validate_json(orjson.dumps(value))
    except ValidationError as error:
        raise from_validation(error) from None
