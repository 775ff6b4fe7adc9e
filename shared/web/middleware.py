"""What happens around every request: its id, its token, errors as problems, metrics, one log line, headers."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from shared.telemetry import traces
from shared.web.noting import note, template_of
from shared.web.pages import CSRF_HEADER, TOKEN_COOKIE, csrf_of
from shared.web.problems import Problem, not_found
from shared.web.repeating import new_request_id
from shared.web.routes import Route
from shared.web.tokens import Principal, TokenDirectory

log = structlog.get_logger(__name__)

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

CLIENT_LEFT: Final = 499
"""Counted in the metrics; nobody is there to be told."""

STREAMING: Final = web.RequestKey("counterfoil_head_sent", bool)

Unavailable = Callable[[BaseException], bool]
"""Tells errors that mean "Kafka or Postgres is away" from all others."""


def around_requests(unavailable: Unavailable) -> Middleware:
    """The outermost middleware."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request_id = request.headers.get("X-Request-Id", "")[:64] or new_request_id()
        structlog.contextvars.bind_contextvars(request_id=request_id if request_id.isprintable() else "unprintable")
        with traces.request_span(request.method, request.headers.get(traces.HEADER)) as told:
            response = await _answer(request, handler, unavailable)
            told |= {"http.route": template_of(request), "http.response.status_code": response.status, "request_id": request_id}
        if STREAMING in request and not response.prepared:
            _cut_off(request)
        note(request.method, template_of(request), response.status, time.perf_counter() - started, request_id)
        if not response.prepared:
            response.headers["X-Request-Id"] = request_id
        return response

    return answer


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """A signal of `on_response_prepare`: also reaches streams. A page has set its own policy already."""
    request[STREAMING] = True
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)


async def principal_of(route: Route, request: web.Request, tokens: TokenDirectory) -> Principal | None:
    """The caller of a route. Raises Problem 401, 403 (404 for reads) or 503 (`protocol.md`, rule 24)."""
    if route.scopes is None:
        return None
    text, from_cookie = _token_text(request)
    if text is None:
        raise _unauthorized("Send a token: Authorization: Bearer …")
    if route.changes and tokens.stale:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "Tokens cannot be checked now; try again shortly", headers={"Retry-After": "5"}
        )
    principal = await tokens.authenticate(text, now=datetime.now(UTC))
    if principal is None:
        raise _unauthorized("This token is not known, or it has expired or been revoked")
    if from_cookie and route.changes and request.headers.get(CSRF_HEADER) != csrf_of(text):
        raise Problem(HTTPStatus.FORBIDDEN, "This page has grown old; load it again")
    if not principal.matches(route.scopes):
        raise Problem(HTTPStatus.FORBIDDEN, "This token may not do that") if route.changes else not_found("resource")
    return principal


def _token_text(request: web.Request) -> tuple[str | None, bool]:
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and text.strip():
        return text.strip(), False
    cookie = request.cookies.get(TOKEN_COOKIE)
    return cookie, cookie is not None


def _unauthorized(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="counterfoil"'})


async def _answer(request: web.Request, handler: Handler, unavailable: Unavailable) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return Problem(error.status, _http_detail(error), headers=allow).response()
    except (ConnectionResetError, ConnectionAbortedError):
        log.info("client left", route=template_of(request))
        return web.Response(status=CLIENT_LEFT)
    except Exception as error:
        if unavailable(error):
            log.warning("unavailable", route=template_of(request), error=f"{type(error).__name__}: {error}")
            detail = "A part of the system is away for the moment; nothing was lost, try again"
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "2"}).response()
        log.exception("request failed", method=request.method, route=template_of(request))
        return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here; it has been logged").response()


def _cut_off(request: web.Request) -> None:
    """Ends the connection of an answer that failed after its head was sent, so that nobody takes a part for the whole."""
    if request.transport is not None:
        request.transport.abort()


def _http_detail(error: web.HTTPException) -> str:
    match error.status:
        case HTTPStatus.NOT_FOUND:
            return "There is nothing at this address; /docs lists what there is"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return f"{error.headers.get('Allow', '')} is what can be done here"
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return "The body is too large"
    return error.reason
