"""The page of head office at `/`, and signing in and out."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from services.reporting.api.queries import PeriodQuery, access_of
from services.reporting.domain import words
from services.reporting.domain.campaigns import Access, KnownCampaign
from services.reporting.domain.charts.base import NAMES_IN_WORDS
from services.reporting.domain.periods import InvalidPeriod, local_day
from services.reporting.handlers.selecting import NotThere, known_campaign, select
from services.reporting.store.reading import FigureStore
from shared.web.pages import TOKEN_COOKIE, Pages, csrf_of, forget_token, keep_token, read_form
from shared.web.routes import Call, Route
from shared.web.tokens import Principal, TokenDirectory

KINDS: Final = ("reports", "store:*", "chain:*")
FILTERS: Final = ("from", "to", "region", "chain", "store_id")
FILES: Final = (
    ("report.pdf", "the whole report, for a director"),
    ("performance.xlsx", "every store, as a workbook"),
    ("performance.csv", "every store"),
    ("ledger.csv", "every redemption"),
    ("timeseries.csv", "every hour"),
    ("rejections.csv", "refused requests by day and reason"),
    ("standings.csv", "ranks over time"),
)


class HeadOffice:
    """Answers with pages. A page asks for a token once and keeps it in a cookie that no script can read."""

    def __init__(self, figures: FigureStore, tokens: TokenDirectory, pages: Pages) -> None:
        self._figures = figures
        self._tokens = tokens
        self._pages = pages

    def routes(self) -> list[Route]:
        common: dict[str, Any] = {"scopes": None, "content_type": "text/html", "hidden": True}
        return [
            Route(method="GET", path="/", handler=self.page, summary="The page of head office", query=PageQuery, **common),
            Route(method="POST", path="/sign-in", handler=self.sign_in, summary="Keeps a token in a cookie", **common),
            Route(method="POST", path="/sign-out", handler=self.sign_out, summary="Forgets it", **common),
        ]

    async def page(self, call: Call[Any, Any]) -> web.Response:
        principal = await self._principal(call.request.cookies.get(TOKEN_COOKIE))
        if principal is None:
            values = {"problem": "", "next": call.request.path_qs}
            return self._pages.render(call.request, "sign_in.html", values)
        campaigns = [known_campaign(row) for row in await self._figures.campaigns()]
        if not campaigns:
            return self._pages.render(call.request, "empty.html", {})
        wanted = call.request.query.get("campaign")
        campaign = next((known for known in campaigns if known.id == wanted), campaigns[0])
        problem = f"There is no campaign {wanted}; this is {campaign.name}" if wanted not in (None, campaign.id) else ""
        access = access_of(principal)
        refusal = await self._refusal(call, campaign, access)
        places = await self._figures.regions_and_chains()
        values = _values(call, campaign, campaigns, places, access)
        told = {"problem": refusal or problem, "refused": bool(refusal)}
        return self._pages.render(call.request, "head_office.html", {**values, **told})

    async def sign_in(self, call: Call[Any, Any]) -> web.Response:
        form = await read_form(call.request)
        token, following = str(form.get("token", "")).strip(), str(form.get("next", "/"))
        if await self._principal(token) is None:
            values = {"problem": "This token is not known here, or may not see reports", "next": following}
            return self._pages.render(call.request, "sign_in.html", values, status=HTTPStatus.UNAUTHORIZED)
        response = _see_other(following)
        keep_token(response, token, secure=call.request.secure)
        return response

    async def sign_out(self, call: Call[Any, Any]) -> web.Response:
        form = await read_form(call.request)
        token = call.request.cookies.get(TOKEN_COOKIE, "")
        response = _see_other("/")
        if form.get("csrf") == csrf_of(token):
            forget_token(response)
        return response

    async def _principal(self, token: str | None) -> Principal | None:
        principal = await self._tokens.authenticate(token, now=datetime.now(UTC)) if token else None
        return principal if principal is not None and principal.matches(KINDS) else None

    async def _refusal(self, call: Call[Any, Any], campaign: KnownCampaign, access: Access) -> str:
        """Why the filters in the address cannot be answered, as a sentence."""
        try:
            await select(self._figures, campaign.id, call.query.asked, access, now=datetime.now(UTC))
        except NotThere as error:
            return f"There is no such {error.what}"
        except InvalidPeriod as error:
            return f"“{error.field}” {error}"
        return ""


class PageQuery(PeriodQuery):
    """Of the page: a campaign and the filters; empty ones, as a form sends them, are none."""

    campaign: str | None = None


def _values(
    call: Call[Any, Any],
    campaign: KnownCampaign,
    campaigns: list[KnownCampaign],
    places: Mapping[str, list[str]],
    access: Access,
) -> dict[str, Any]:
    now = datetime.now(UTC)
    first = campaign.starts_at.astimezone(campaign.zone).date()
    last = local_day(campaign.ends_at - timedelta(microseconds=1), campaign.zone)
    asked = call.request.query
    return {
        "campaign": campaign,
        "campaigns": campaigns,
        "state": campaign.state(now),
        "window": words.days(first, last),
        "regions": places["regions"],
        "chains": places["chains"],
        "filters": {
            "since": asked.get("from", ""),
            "until": asked.get("to", ""),
            "region": asked.get("region", ""),
            "chain": asked.get("chain", ""),
            "store": asked.get("store_id", ""),
        },
        "filtered": any(asked.get(name) for name in FILTERS),
        "charts": list(NAMES_IN_WORDS.items()),
        "downloads": [file for file in FILES if access.everything or file[0] != "report.pdf"],
        "everything": access.everything,
    }


def _see_other(address: str) -> web.Response:
    """303 to an address of ours; anything that leads elsewhere leads home."""
    is_ours = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return web.Response(
        status=HTTPStatus.SEE_OTHER, headers={"Location": quote(address, safe="/?&=%-_.,:+~") if is_ours else "/"}
    )
