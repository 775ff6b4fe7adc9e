"""The route table of ranking, by subject."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from services.ranking.api.boards import RankingApi
from services.ranking.api.pages import Portal
from services.ranking.api.questions import (
    BoardQuery,
    CertificateQuery,
    LeaderboardQuery,
    PageQuery,
    SearchQuery,
    StandingQuery,
    StoreList,
)
from services.ranking.handlers.bodies import CampaignList, History, Leaderboard, ScopeList, Standing, Standings
from services.ranking.handlers.certified_answers import CertificateList, CertifiedWindow
from shared.web.routes import Route

READERS: Final = ("reports", "store:*", "chain:*")
CAMPAIGN: Final = "/v1/campaigns/{campaign_id}"

_read = partial(Route, method="GET", scopes=READERS)
_page = partial(Route, scopes=None, hidden=True, reads=True)


def routes(api: RankingApi, portal: Portal) -> Sequence[Route]:
    return [*_boards(api), *_stores(api), *_campaigns(api), *_pages(portal)]


def _boards(api: RankingApi) -> list[Route]:
    return [
        _read(
            path=f"{CAMPAIGN}/leaderboard",
            handler=api.leaderboard,
            summary="The stores of a campaign, best first",
            query=LeaderboardQuery,
            answer=Leaderboard,
        ),
        _read(
            path=f"{CAMPAIGN}/leaderboard/live",
            handler=api.live,
            summary="The same as server-sent events, at most one a second and only when it changed",
            query=LeaderboardQuery,
            content_type="text/event-stream",
        ),
        _read(
            path=f"{CAMPAIGN}/certificates",
            handler=api.certificates,
            summary="A certified window: its frozen table, the hash over it, and what changed since",
            query=CertificateQuery,
            answer=CertifiedWindow | CertificateList,
        ),
    ]


def _stores(api: RankingApi) -> list[Route]:
    return [
        _read(
            path=f"{CAMPAIGN}/stores/{{store_id}}/standing",
            handler=api.standing,
            summary="A store's rank, what it needs for the next, and its neighbours",
            query=StandingQuery,
            answer=Standing,
        ),
        Route(
            method="POST",
            path=f"{CAMPAIGN}/standings",
            handler=api.standings,
            summary="The ranks of a list of stores",
            scopes=READERS,
            query=BoardQuery,
            body=StoreList,
            answer=Standings,
            reads=True,
        ),
        _read(
            path=f"{CAMPAIGN}/stores/{{store_id}}/history",
            handler=api.history,
            summary="A store's rank on the all-time board at the end of each day",
            answer=History,
        ),
        _read(
            path=f"{CAMPAIGN}/stores",
            handler=api.search,
            summary="Stores by a part of their name, with their ranks",
            query=SearchQuery,
            answer=Standings,
        ),
    ]


def _campaigns(api: RankingApi) -> list[Route]:
    return [
        _read(
            path="/v1/campaigns",
            handler=api.campaigns,
            summary="The campaigns that have boards",
            answer=CampaignList,
        ),
        _read(
            path=f"{CAMPAIGN}/scopes",
            handler=api.scopes,
            summary="The regions, chains and peer groups that have a board",
            answer=ScopeList,
        ),
    ]


def _pages(portal: Portal) -> list[Route]:
    return [
        _page(method="GET", path="/", handler=portal.page, summary="The page for stores", query=PageQuery),
        _page(method="POST", path="/sign-in", handler=portal.sign_in, summary="Keeps a token"),
        _page(method="POST", path="/sign-out", handler=portal.sign_out, summary="Forgets it"),
    ]
