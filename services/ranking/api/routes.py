"""The route table of ranking."""

from collections.abc import Sequence
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


def routes(api: RankingApi, portal: Portal) -> Sequence[Route]:
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
        Route(
            method="GET",
            path="/v1/campaigns",
            handler=api.campaigns,
            summary="The campaigns that have boards",
            scopes=READERS,
            answer=CampaignList,
        ),
        Route(
            method="GET",
            path=f"{campaign}/scopes",
            handler=api.scopes,
            summary="The regions, chains and peer groups that have a board",
            scopes=READERS,
            answer=ScopeList,
        ),
        Route(
            method="GET",
            path=f"{campaign}/stores",
            handler=api.search,
            summary="Stores by a part of their name, with their ranks",
            scopes=READERS,
            query=SearchQuery,
            answer=Standings,
        ),
        Route(
            method="GET",
            path=f"{campaign}/stores/{{store_id}}/history",
            handler=api.history,
            summary="A store's rank on the all-time board at the end of each day",
            scopes=READERS,
            answer=History,
        ),
        Route(
            method="GET",
            path="/",
            handler=portal.page,
            summary="The page for stores",
            scopes=None,
            query=PageQuery,
            hidden=True,
        ),
        Route(
            method="POST",
            path="/sign-in",
            handler=portal.sign_in,
            summary="Keeps a token",
            scopes=None,
            hidden=True,
            reads=True,
        ),
        Route(
            method="POST", path="/sign-out", handler=portal.sign_out, summary="Forgets it", scopes=None, hidden=True, reads=True
        ),
    ]
