"""The page for stores: signing in with a token, which a cookie keeps, and the page, which asks the routes for the rest."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from shared.web.pages import TOKEN_COOKIE, Pages, forget_token, keep_token, read_form, refuse_other_sites
from shared.web.routes import Call, NoFields
from shared.web.tokens import Principal, TokenDirectory

READING: Final = ("reports", "store:*", "chain:*")
MOST_TOKEN_CHARACTERS: Final = 512
MOST_QUESTION_CHARACTERS: Final = 1_000
NOT_KNOWN: Final = "This token is not known here, or it has expired. Ask head office for a new one."
MAY_NOT_READ: Final = "This token is good, but not for boards. Ask head office for your store's token."


class Portal:
    """The page of the ranking service."""

    def __init__(self, pages: Pages, tokens: TokenDirectory) -> None:
        self._pages = pages
        self._tokens = tokens

    async def page(self, call: Call[NoFields, NoFields]) -> web.StreamResponse:
        """The live board for who has a token in the cookie, else the question for one."""
        token = call.request.cookies.get(TOKEN_COOKIE)
        principal = await self._tokens.authenticate(token, now=datetime.now(UTC)) if token else None
        if principal is None or not principal.matches(READING):
            linked = call.request.headers.get("Sec-Fetch-Site") == "cross-site"
            return self._sign_in(call.request, question=call.request.query_string, linked=linked)
        return self._pages.render(call.request, "portal.html", {"stores": sorted(principal.named("store"))})

    async def sign_in(self, call: Call[Any, Any]) -> web.StreamResponse:
        """Keeps the token that a form sent, and goes on to the page."""
        form = await read_form(call.request)
        question = quote(str(form.get("question", ""))[:MOST_QUESTION_CHARACTERS], safe="=&%:+")
        token = str(form.get("token", "")).strip()[:MOST_TOKEN_CHARACTERS]
        principal: Principal | None = await self._tokens.authenticate(token, now=datetime.now(UTC)) if token else None
        if principal is None or not principal.matches(READING):
            problem = NOT_KNOWN if principal is None else MAY_NOT_READ
            return self._sign_in(call.request, question=question, problem=problem)
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": f"/?{question}" if question else "/"})
        keep_token(response, token, secure=call.request.secure)
        return response

    def _sign_in(self, request: web.Request, *, question: str, problem: str = "", linked: bool = False) -> web.Response:
        """The question for a token. `linked`: whoever follows a link from elsewhere may have one; its cookie stayed behind."""
        status = HTTPStatus.FORBIDDEN if problem else HTTPStatus.OK
        values = {"problem": problem, "question": question, "linked": linked}
        return self._pages.render(request, "sign_in.html", values, status=status)

    async def sign_out(self, call: Call[Any, Any]) -> web.StreamResponse:
        """Forgets the token."""
        refuse_other_sites(call.request)
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/"})
        forget_token(response)
        return response
