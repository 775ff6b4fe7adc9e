"""Putting a service's web application together from its route table, and serving it."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from shared.telemetry import metrics
from shared.telemetry.readiness import Readiness
from shared.web.guarding import ConnectionGuard, RateLimit
from shared.web.middleware import Unavailable, add_security_headers, around_requests, principal_of
from shared.web.openapi import docs_page, openapi_document
from shared.web.pages import PAGE_POLICY, Pages
from shared.web.problems import Problem
from shared.web.repeating import Repeatable, Repeats
from shared.web.routes import Route, parse_call, write_answer
from shared.web.tokens import TokenDirectory

BODY_BYTES_LIMIT: Final = 32 * 1024 * 1024
"""Ten thousand stores as JSON are 2 MB, a hundred thousand codes to void 1.5 MB; a route may set less for itself."""

SHUTDOWN_SECONDS: Final = 5.0
GUARD: Final = web.AppKey("guard", ConnectionGuard)
REPEATS: Final = web.AppKey("repeats", Repeats)
RATE_HEADERS: Final = web.RequestKey("rate_headers", dict[str, str])

READY: Final = metrics.gauge("ready", "1 while the service can do its work; /readyz says why not")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDescription:
    """What `/openapi.json` and `/docs` say of the service as a whole."""

    title: str
    description: str
    version: str


def build_web_app(
    description: ServiceDescription,
    routes: Sequence[Route],
    *,
    tokens: TokenDirectory,
    readiness: Readiness,
    unavailable: Unavailable,
    pages: Pages,
    requests_a_minute: int | None = None,
) -> web.Application:
    """The application: the routes, probes, metrics, documents and assets.

    `requests_a_minute` is what each token may ask of this process, routes without tokens left out; None is no limit.
    """
    guard, rate = ConnectionGuard(), RateLimit(requests_a_minute)
    app = web.Application(client_max_size=BODY_BYTES_LIMIT, middlewares=[guard.watch, around_requests(unavailable)])
    app[GUARD], app[REPEATS] = guard, Repeats(tokens, rate, guard)
    app.on_response_prepare.append(add_security_headers)
    app.on_response_prepare.append(_add_rate_headers)
    for route in routes:
        app.router.add_route(route.method, route.path, _handler(route, tokens, rate, app[REPEATS]))
    _add_probes(app, readiness)
    _add_documents(app, description, routes)
    app.router.add_get("/assets/{name:.+}", pages.asset)
    return app


@asynccontextmanager
async def serving(app: web.Application, *, host: str, port: int) -> AsyncIterator[str]:
    """Serves the application and gives its address. Copies on one port share it (SO_REUSEPORT); port 0 takes a free one."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, keepalive_timeout=75)
    await runner.setup()
    try:
        listener = _listen(host, port)
        if runner.server is not None and REPEATS in app:
            runner.server.request_handler = app[REPEATS].around(runner.server.request_handler)
        await web.SockSite(runner, listener, backlog=1024).start()
        watching = asyncio.create_task(app[GUARD].run(runner.server), name="slow clients") if runner.server else None
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (compared, not bound)
        try:
            yield f"http://{shown}:{listener.getsockname()[1]}"
        finally:
            if watching is not None:
                watching.cancel()
    finally:
        await runner.cleanup()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if port and hasattr(socket, "SO_REUSEPORT"):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _handler(route: Route, tokens: TokenDirectory, rate: RateLimit, repeats: Repeats) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        principal = await principal_of(route, request, tokens)
        if principal is not None:
            allowed, request[RATE_HEADERS] = rate.count(principal.token_id, time.time())
            if not allowed:
                raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "This token asks too often; wait as Retry-After says")
        response = write_answer(route, await route.handler(await parse_call(route, request, principal)))
        if isinstance(response, Repeatable):
            response.keep = repeats.keep
        return response

    return handle


async def _add_rate_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in request.get(RATE_HEADERS, {}).items():
        response.headers.setdefault(name, value)


def _add_probes(app: web.Application, readiness: Readiness) -> None:
    async def livez(_request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(_request: web.Request) -> web.Response:
        problems = readiness.problems()
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        body = orjson.dumps({"status": "not ready" if problems else "ready", "problems": problems})
        return web.Response(status=status, body=body, content_type="application/json")

    async def show_metrics(_request: web.Request) -> web.Response:
        READY.set(0 if readiness.problems() else 1)
        return web.Response(body=metrics.exposition(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show_metrics)


def _add_documents(app: web.Application, description: ServiceDescription, routes: Sequence[Route]) -> None:
    document = openapi_document(
        title=description.title, description=description.description, version=description.version, routes=routes
    )
    body, page = orjson.dumps(document, option=orjson.OPT_INDENT_2), docs_page(document)

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async def docs(_request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": PAGE_POLICY})

    app.router.add_get("/openapi.json", openapi)
    app.router.add_get("/docs", docs)
