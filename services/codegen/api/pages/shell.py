"""What all pages share: who is looking, the frame around the page, parts and their refusals."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from services.codegen.api.answers import ADMIN, problem_of
from services.codegen.domain.refusals import Refused
from services.codegen.domain.stores import Unreadable
from services.codegen.handlers.overview import OverviewHandlers
from shared.web.pages import TOKEN_COOKIE, Pages, forget_token, keep_token, read_form, refuse_other_sites
from shared.web.problems import Problem, from_validation, unreadable
from shared.web.routes import Call, Fields, Handler, NoFields, Route
from shared.web.tokens import Principal, TokenDirectory

PageCall = Call[Any, Any]


class Shell:
    """Renders full pages for admins who are signed in, and asks the others for their token."""

    def __init__(self, pages: Pages, tokens: TokenDirectory, overview: OverviewHandlers) -> None:
        self._pages = pages
        self._tokens = tokens
        self._overview = overview

    def routes(self) -> list[Route]:
        return [
            page_route("POST", "/session", self.sign_in),
            page_route("POST", "/session/end", self.sign_out),
        ]

    def page(self, show: Callable[[PageCall], Awaitable[web.Response]]) -> Handler:
        """A page that only an admin sees; everyone else is asked for a token at the same address."""

        async def handle(call: PageCall) -> web.Response:
            if await self._admin(call.request.cookies.get(TOKEN_COOKIE, "")) is None:
                return self._ask(call.request, None)
            try:
                return await show(call)
            except Refused as refusal:
                return await self._refused(call, problem_of(refusal))
            except Problem as problem:
                return await self._refused(call, problem)

        return handle

    async def render(
        self, call: PageCall, template: str, *, title: str, current: str, status: int = 200, **values: Any
    ) -> web.Response:
        """A full page in its frame."""
        now = datetime.now(UTC)
        frame = {"title": title, "current": current, "as_of": now, "campaigns": await self._overview.campaigns(now=now)}
        return self._pages.render(call.request, template, {**frame, **values}, status=status)

    def part(
        self, request: web.Request, template: str, headers: Mapping[str, str] | None = None, **values: Any
    ) -> web.Response:
        """A part of a page, for htmx."""
        response = self._pages.render(request, f"parts/{template}", values)
        response.headers.update(headers or {})
        return response

    def done(self, request: web.Request, text: str, *, secret: str | None = None, **headers: str) -> web.Response:
        """Says that something was done; `headers` tell htmx what to do next."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.part(request, "done.html", named, text=text, secret=secret)

    def refusing(self, handler: Callable[[PageCall], Awaitable[web.Response]]) -> Handler:
        """The handler of a part, its refusals shown where the part would be."""

        async def handle(call: PageCall) -> web.Response:
            try:
                return await handler(call)
            except Refused as refusal:
                return self._problem(call, problem_of(refusal))
            except Unreadable as error:
                return self._problem(call, unreadable(str(error)))
            except ValidationError as error:
                return self._problem(call, from_validation(error))

        return handle

    async def sign_in(self, call: PageCall) -> web.StreamResponse:
        form = await read_form(call.request)
        text = str(form.get("token", "")).strip()
        if not text.isascii() or not text.isprintable() or await self._admin(text) is None:
            return self._ask(call.request, "This is not a valid token with the scope admin.")
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/"})
        keep_token(response, text, secure=is_secure(call.request))
        return response

    async def sign_out(self, call: PageCall) -> web.StreamResponse:
        refuse_other_sites(call.request)
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/"})
        forget_token(response)
        return response

    async def _admin(self, text: str) -> Principal | None:
        principal = await self._tokens.authenticate(text, now=datetime.now(UTC)) if text else None
        return principal if principal is not None and principal.matches(ADMIN) else None

    def _ask(self, request: web.Request, problem: str | None) -> web.Response:
        """The question for a token, a page like any other; a token that is refused is an error."""
        values = {"title": "Sign in", "problem": problem}
        status = HTTPStatus.UNAUTHORIZED if problem else HTTPStatus.OK
        return self._pages.render(request, "sign_in.html", values, status=status)

    async def _refused(self, call: PageCall, problem: Problem) -> web.Response:
        return await self.render(call, "refused.html", title="Not here", current="", status=problem.status, text=problem.detail)

    def _problem(self, call: PageCall, problem: Problem) -> web.Response:
        response = self.part(call.request, "problem.html", text=problem.detail, faults=problem.errors)
        status = HTTPStatus.CONFLICT if problem.status == HTTPStatus.CONFLICT else HTTPStatus.UNPROCESSABLE_ENTITY
        response.set_status(status)
        return response


def page_route(method: str, path: str, handler: Handler, *, query: type[Fields] = NoFields) -> Route:
    """A route of a page; it looks after its own token."""
    return Route(method=method, path=path, handler=handler, summary="A page", scopes=None, hidden=True, query=query)


def part_route(method: str, path: str, handler: Handler) -> Route:
    """A route of a part of a page: the token is checked, and the page's guard against CSRF where it changes something."""
    return Route(method=method, path=path, handler=handler, summary="A part of a page", scopes=ADMIN, hidden=True)


async def form_of(call: PageCall) -> dict[str, str]:
    """The fields of a form that were filled in, without blanks around them."""
    form = await read_form(call.request)
    found = {name: value.strip() for name, value in form.items() if isinstance(value, str)}
    return {name: value for name, value in found.items() if value}


def is_secure(request: web.Request) -> bool:
    return request.secure or request.headers.get("X-Forwarded-Proto") == "https"


def by(call: PageCall) -> dict[str, Any]:
    """Who and when, for a handler."""
    return {"actor": call.caller.token_id, "now": datetime.now(UTC)}
