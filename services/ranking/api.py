"""Ranking over HTTP: leaderboards, a store's standing, ranks of a list of stores, and the live board."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import BeforeValidator, Field

from services.ranking.domain.boards import Measure
from services.ranking.domain.calendar import Window
from services.ranking.domain.roster import parse_scope
from services.ranking.handlers.answers import Answers, Leaderboard, Standing, Standings, UnknownName, Wanted, WrongValue
from services.ranking.handlers.certified_answers import CertificateList, CertifiedAnswers, CertifiedWindow
from services.ranking.handlers.live import LiveBoards
from shared.web.problems import invalid_field, not_found
from shared.web.routes import Answer, Call, Fields, NoFields, Route
from shared.web.tokens import Principal

READERS: Final = ("reports", "store:*", "chain:*")
ROWS_BY_DEFAULT: Final = 50
MOST_ROWS: Final = 1_000
MOST_AROUND: Final = 100
MOST_STORES: Final = 1_000


def _day(value: Any) -> Any:
    """ISO 8601 alone; pydantic by itself would read 20261122 as seconds since 1970."""
    return date.fromisoformat(value) if isinstance(value, str) else value


Day = Annotated[date, BeforeValidator(_day)]


class BoardQuery(Fields):
    """Which board of a campaign."""

    window: Window = Field(default=Window.ALL, description="The days that are summed")
    date: Day | None = Field(default=None, description="A day of the window, in the campaign's zone; today by default")
    scope: str = Field(default="all", max_length=128, description="all, region:X, chain:X or peer:X")
    by: Measure = Field(default=Measure.COUNT, description="count: redeemed; rate: redeemed by issued, lower Wilson bound")

    def wanted(self, campaign_id: str) -> Wanted:
        try:
            scope = parse_scope(self.scope)
        except ValueError as error:
            raise WrongValue("scope", str(error).removeprefix("scope ")) from None
        return Wanted(campaign_id=campaign_id, window=self.window, day=self.date, scope=scope, by=self.by)


class LeaderboardQuery(BoardQuery):
    offset: int = Field(default=0, ge=0, le=10_000_000, description="Rows to leave out at the top")
    limit: int = Field(default=ROWS_BY_DEFAULT, ge=1, le=MOST_ROWS, description="Rows at most")


class StandingQuery(BoardQuery):
    around: int = Field(default=2, ge=0, le=MOST_AROUND, description="Neighbours on each side")


class StoreList(Fields):
    """The stores whose ranks are asked for."""

    store_ids: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(min_length=1, max_length=MOST_STORES)


class CertificateQuery(Fields):
    """Which certificate: of a window and a day in it; without a day the last one; without a window, the list of all."""

    window: Window | None = Field(default=None, description="Kind of window; without one, all certificates are listed")
    date: Day | None = Field(default=None, description="A day of the window, in the campaign's zone")
    limit: int = Field(default=ROWS_BY_DEFAULT, ge=1, le=MOST_ROWS, description="Certificates in a list at most")
    cursor: int = Field(default=0, ge=0, le=1_000_000, description="next_cursor of the list before")


def routes(answers: Answers, certified: CertifiedAnswers, live: LiveBoards) -> Sequence[Route]:
    api = RankingApi(answers, certified, live)
    campaign = "/v1/campaigns/{campaign_id}"
    return [
        Route(
            method="GET",
            path=f"{campaign}/leaderboard",
            handler=api.leaderboard,
            summary="The stores of a campaign, best first",
            scopes=READERS,
            query=LeaderboardQuery,
            answer=Leaderboard,
        ),
        Route(
            method="GET",
            path=f"{campaign}/leaderboard/live",
            handler=api.live,
            summary="The same as server-sent events, at most one a second and only when it changed",
            scopes=READERS,
            query=LeaderboardQuery,
            content_type="text/event-stream",
        ),
        Route(
            method="GET",
            path=f"{campaign}/stores/{{store_id}}/standing",
            handler=api.standing,
            summary="A store's rank, what it needs for the next, and its neighbours",
            scopes=READERS,
            query=StandingQuery,
            answer=Standing,
        ),
        Route(
            method="POST",
            path=f"{campaign}/standings",
            handler=api.standings,
            summary="The ranks of a list of stores",
            scopes=READERS,
            query=BoardQuery,
            body=StoreList,
            answer=Standings,
            reads=True,
        ),
        Route(
            method="GET",
            path=f"{campaign}/certificates",
            handler=api.certificates,
            summary="A certified window: its frozen table, the hash over it, and what changed since",
            scopes=READERS,
            query=CertificateQuery,
            answer=CertifiedWindow | CertificateList,
        ),
    ]


class RankingApi:
    """The handlers of the routes."""

    def __init__(self, answers: Answers, certified: CertifiedAnswers, live: LiveBoards) -> None:
        self._answers = answers
        self._certified = certified
        self._live = live

    async def leaderboard(self, call: Call[LeaderboardQuery, NoFields]) -> web.Response:
        now, query = datetime.now(UTC), call.query
        with _problems():
            wanted = await self._wanted(call)
            rendered = self._answers.leaderboard(wanted, offset=query.offset, limit=query.limit, now=now)
        headers = {"ETag": f'W/"{rendered.version}"', "Cache-Control": "private, no-cache"}
        if _is_known(call.request, rendered.version):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        body = rendered.at(self._answers.as_of(now), now)
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def live(self, call: Call[LeaderboardQuery, NoFields]) -> web.StreamResponse:
        query = call.query
        with _problems():
            wanted = await self._wanted(call)
            self._answers.leaderboard(wanted, offset=query.offset, limit=query.limit, now=datetime.now(UTC))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(call.request)
        last_version = call.request.headers.get("Last-Event-ID", "")
        events = self._live.listen(wanted, offset=query.offset, limit=query.limit, last_version=last_version)
        async for event in events:
            await response.write(event)
        return response

    async def standing(self, call: Call[StandingQuery, NoFields]) -> Any:
        store_id = call.path["store_id"]
        with _problems():
            wanted = await self._wanted(call)
            if not self._may_see(call.caller, store_id):
                raise UnknownName("store")
            return Answer(
                value=self._answers.standing(wanted, store_id, around=call.query.around, now=datetime.now(UTC)),
                headers={"Cache-Control": "private, no-cache"},
            )

    async def standings(self, call: Call[BoardQuery, StoreList]) -> Any:
        with _problems():
            wanted = await self._wanted(call)
            for index, store_id in enumerate(call.body.store_ids):
                if not self._may_see(call.caller, store_id):
                    raise WrongValue(f"store_ids.{index}", "there is no such store")
            return self._answers.standings(wanted, call.body.store_ids, now=datetime.now(UTC))

    async def certificates(self, call: Call[CertificateQuery, NoFields]) -> Any:
        campaign_id, query = call.path["campaign_id"], call.query
        with _problems():
            if query.window is None:
                return self._certified.listed(campaign_id, after=query.cursor, limit=query.limit)
            return await self._certified.window(campaign_id, query.window, query.date, datetime.now(UTC))

    async def _wanted(self, call: Call[Any, Any]) -> Wanted:
        """The board that a query means, with the certificates that it is made from at hand."""
        wanted: Wanted = call.query.wanted(call.path["campaign_id"])
        await self._certified.prepare(wanted.campaign_id, wanted.window, wanted.day, datetime.now(UTC))
        return wanted

    def _may_see(self, caller: Principal, store_id: str) -> bool:
        """Whether a token may see the figures of one store: head office all, a store its own, a chain its stores'."""
        if caller.has("reports") or store_id in caller.named("store"):
            return True
        chain = self._answers.store_chain(store_id)
        return chain is not None and chain in caller.named("chain")


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except UnknownName as error:
        raise not_found(error.what) from None
    except WrongValue as error:
        raise invalid_field(error.field, error.message) from None


def _is_known(request: web.Request, version: str) -> bool:
    """Whether the caller has this version already: If-None-Match holds it, or `*`."""
    tags = request.headers.get("If-None-Match", "")
    return tags.strip() == "*" or any(tag.strip().removeprefix("W/") == f'"{version}"' for tag in tags.split(","))
