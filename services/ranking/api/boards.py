"""Boards, standings and certificates over HTTP: parse, ask, shape."""

from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from services.ranking.api.questions import BoardQuery, CertificateQuery, LeaderboardQuery, SearchQuery, StandingQuery, StoreList
from services.ranking.handlers.answers import Answers, UnknownName, Wanted, WrongValue
from services.ranking.handlers.certified_answers import CertifiedAnswers
from services.ranking.handlers.live import LiveBoards
from services.ranking.handlers.rendering import Rendered
from shared.web.problems import invalid_field, not_found
from shared.web.repeating import Repeatable
from shared.web.routes import Call, NoFields
from shared.web.tokens import Principal, TokenDirectory

STREAM: Final = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class RankingApi:
    """The handlers of the routes."""

    def __init__(self, answers: Answers, certified: CertifiedAnswers, live: LiveBoards, tokens: TokenDirectory) -> None:
        self._tokens = tokens
        self._answers = answers
        self._certified = certified
        self._live = live

    async def leaderboard(self, call: Call[LeaderboardQuery, NoFields]) -> web.Response:
        now, query = datetime.now(UTC), call.query
        with _problems():
            wanted = await self._wanted(call)
            rendered = self._answers.leaderboard(wanted, offset=query.offset, limit=query.limit, now=now)
        return self._answer(call, rendered, now)

    async def live(self, call: Call[LeaderboardQuery, NoFields]) -> web.StreamResponse:
        query = call.query
        with _problems():
            wanted = await self._wanted(call)
            self._answers.leaderboard(wanted, offset=query.offset, limit=query.limit, now=datetime.now(UTC))
        response = web.StreamResponse(headers=STREAM)
        await response.prepare(call.request)
        last_version = call.request.headers.get("Last-Event-ID", "")
        events = self._live.listen(wanted, offset=query.offset, limit=query.limit, last_version=last_version)
        async with aclosing(events):
            async for event in events:
                if not self._tokens.holds(call.caller, now=datetime.now(UTC)):
                    break
                try:
                    await response.write(event)
                except ConnectionResetError:
                    break
        return response

    async def standing(self, call: Call[StandingQuery, NoFields]) -> web.Response:
        now, store_id = datetime.now(UTC), call.path["store_id"]
        with _problems():
            wanted = await self._wanted(call)
            if not self._may_see(call.caller, store_id):
                raise UnknownName("store")
            rendered = self._answers.standing(wanted, store_id, around=call.query.around, now=now)
        return self._answer(call, rendered, now)

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
            if query.window is None and query.date is not None:
                raise WrongValue("date", "means a window: say which one, day, week, month or all")
            if query.window is None:
                return self._certified.listed(campaign_id, after=query.cursor, limit=query.limit)
            return await self._certified.window(campaign_id, query.window, query.date, datetime.now(UTC))

    async def campaigns(self, call: Call[NoFields, NoFields]) -> Any:  # noqa: ARG002 (a handler's signature)
        return self._answers.campaigns(datetime.now(UTC))

    async def scopes(self, call: Call[NoFields, NoFields]) -> Any:
        with _problems():
            return self._answers.scopes(call.path["campaign_id"])

    async def search(self, call: Call[SearchQuery, NoFields]) -> Any:
        with _problems():
            wanted = await self._wanted(call)
            return self._answers.search(wanted, call.query.search, limit=call.query.limit, now=datetime.now(UTC))

    async def history(self, call: Call[NoFields, NoFields]) -> Any:
        with _problems():
            return self._answers.history(call.path["campaign_id"], call.path["store_id"], now=datetime.now(UTC))

    def _answer(self, call: Call[Any, Any], rendered: Rendered, now: datetime) -> web.Response:
        headers = {"ETag": f'W/"{rendered.version}"', "Cache-Control": "private, no-cache"}
        again = self._answers.again(call.path["campaign_id"], rendered, made_at=now)
        if _is_known(call.request, rendered.version):
            return Repeatable(
                again=lambda now: None if again(now) is None else (), status=HTTPStatus.NOT_MODIFIED, headers=headers
            )
        headers["Content-Type"] = "application/json"
        return Repeatable(again=again, body=rendered.at(self._answers.as_of(now), now), headers=headers)

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
