"""Pages for people: a token asked for once and kept in a cookie, strict content policy, guarded against CSRF, own assets.

Everything that a page loads lies in the service's `web/assets`, in this package's `assets`, or in the page itself.
"""

import hashlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import jinja2
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage

from shared.web.problems import Problem, unreadable

TOKEN_COOKIE: Final = "counterfoil_token"  # noqa: S105 (a cookie's name)
CSRF_HEADER: Final = "X-Counterfoil-Csrf"
COOKIE_SECONDS: Final = 30 * 24 * 3600
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SHARED_ASSETS: Final = Path(__file__).parent / "assets"
SHARED_TEMPLATES: Final = Path(__file__).parent / "templates"


def csrf_of(token: str) -> str:
    """What a page must send back with everything that changes something; only the page's own origin can read it."""
    return hashlib.sha256(b"counterfoil csrf\x00" + token.encode()).hexdigest()[:32]


class Pages:
    """Renders a service's templates. `folder` is its `web/`: `templates/` and `assets/`; `filters` are for its templates."""

    def __init__(self, folder: Path, *, filters: Mapping[str, Callable[..., Any]] | None = None) -> None:
        self._assets = folder / "assets"
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader([folder / "templates", SHARED_TEMPLATES]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(filters or {})
        self._environment.globals["asset"] = self.asset_address

    def render(self, request: web.Request, template: str, values: Mapping[str, Any], *, status: int = 200) -> web.Response:
        """The page as a response, with `csrf` among its values."""
        token = request.cookies.get(TOKEN_COOKIE)
        text = self._environment.get_template(template).render({"csrf": csrf_of(token) if token else "", **values})
        headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-store"}
        return web.Response(text=text, status=status, content_type="text/html", headers=headers)

    def asset_address(self, name: str) -> str:
        """The address of an asset, with its content's hash so that it may be cached for ever."""
        path = next((p for p in (self._assets / name, SHARED_ASSETS / name) if p.is_file()), None)
        if path is None:
            message = f"there is no asset {name}"
            raise FileNotFoundError(message)
        return f"/assets/{name}?v={hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """Serves `/assets/{name}` from the service's folder, else from the shared one."""
        name = request.match_info["name"]
        for folder in (self._assets, SHARED_ASSETS):
            path = (folder / name).resolve()
            if path.is_file() and path.is_relative_to(folder.resolve()):
                return web.FileResponse(path, headers={"Cache-Control": "public, max-age=31536000, immutable"})
        raise web.HTTPNotFound


def refuse_other_sites(request: web.Request) -> None:
    """A page of another site may neither sign a reader in nor out. Raises Problem 403.

    Browsers say where a request comes from (Fetch Metadata); under our referrer policy they leave Origin as `null`.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Problem(HTTPStatus.FORBIDDEN, "This form belongs to another site")


async def read_form(request: web.Request) -> Mapping[str, str | bytes | bytearray | web.FileField]:
    """The fields of a form of this site. Raises Problem 403 for another's, and 400 for what is no form or no text in UTF-8."""
    refuse_other_sites(request)
    try:
        return await request.post()
    except (ValueError, LookupError, BadHttpMessage):
        raise unreadable("The form cannot be read") from None


def keep_token(response: web.StreamResponse, token: str, *, secure: bool) -> None:
    """Puts the token into its cookie."""
    response.set_cookie(TOKEN_COOKIE, token, max_age=COOKIE_SECONDS, httponly=True, samesite="Strict", secure=secure, path="/")


def forget_token(response: web.StreamResponse) -> None:
    response.del_cookie(TOKEN_COOKIE, path="/", httponly=True, samesite="Strict")
