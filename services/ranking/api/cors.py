"""Reading boards from portals' own pages: which origins may, by setting (Fetch standard, CORS protocol)."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Final

from aiohttp import web

ANSWERED: Final = "/v1/"
PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "authorization, content-type, if-none-match, last-event-id",
    "Access-Control-Max-Age": "600",
}


def allow_origins(app: web.Application, origins: Collection[str]) -> None:
    """Lets pages of these origins read the routes under /v1/ that the application has by now.

    Tokens travel in a header; cookies of ours never do.
    """

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get("Origin")
        if not request.path.startswith(ANSWERED):
            return
        response.headers.add("Vary", "Origin")
        if origin in origins or "*" in origins:
            response.headers["Access-Control-Allow-Origin"] = origin or "*"
            response.headers["Access-Control-Expose-Headers"] = "ETag"

    async def preflight(request: web.Request) -> web.Response:
        allowed = request.headers.get("Origin") in origins or "*" in origins
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=PREFLIGHT if allowed else {})

    app.on_response_prepare.append(add_headers)
    for resource in list(app.router.resources()):
        if isinstance(resource, web.Resource) and resource.canonical.startswith(ANSWERED):
            resource.add_route("OPTIONS", preflight)
