"""Figures as JSON."""

from datetime import UTC, datetime
from typing import Any, Final

from pydantic import Field

from services.reporting.api.queries import PeriodQuery, access_of, selected
from services.reporting.api.sheets import SCOPES
from services.reporting.domain.campaigns import State
from services.reporting.handlers.figures import list_performance, summarise
from services.reporting.handlers.freshness import FreshnessBoard
from services.reporting.handlers.keeping import Kept
from services.reporting.handlers.selecting import known_campaign
from services.reporting.store.reading import FigureStore
from shared.web.routes import Call, Fields, Route

MOST_SUMMARIES: Final = 1_000


class SummaryAnswer(Fields):
    """The sums of a campaign, or of the period and stores asked for. States are of now; `rate` is redeemed ÷ issued."""

    campaign_id: str
    name: str
    state: State
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    days_left: int
    stores: int
    issued: int
    accepted: int
    redeemed: int
    reversed: int
    void: int
    expired: int
    outstanding: int
    score: int
    rate: float | None
    unique_players: int
    rejected: int
    first_redemption_at: datetime | None
    last_redemption_at: datetime | None
    as_of: datetime
    lag_seconds: float


class PerformanceRow(Fields):
    """A store's figures."""

    store_id: str
    store_name: str | None
    chain: str | None
    region: str | None
    country: str | None
    issued: int
    accepted: int
    redeemed: int
    reversed: int
    void: int
    expired: int
    outstanding: int
    rate: float | None
    share_of_total: float | None
    unique_players: int
    rank: int | None
    previous_rank: int | None
    first_redemption_at: datetime | None
    last_redemption_at: datetime | None
    rejected: int


class PerformanceAnswer(Fields):
    """All stores of a selection, by id."""

    as_of: datetime
    lag_seconds: float
    items: list[PerformanceRow]


class CampaignItem(Fields):
    """A campaign."""

    id: str
    name: str
    state: State
    starts_at: datetime
    ends_at: datetime
    time_zone: str


class CampaignsAnswer(Fields):
    """A page of campaigns."""

    items: list[CampaignItem]
    next_cursor: str | None


class PageOfList(Fields):
    """Which part of a list."""

    limit: int = Field(default=50, ge=1, le=1000, description="Items at most")
    cursor: str | None = Field(default=None, max_length=20, pattern=r"^\d+$", description="next_cursor of the part before")


class Figures:
    """Answers with figures."""

    def __init__(self, figures: FigureStore, board: FreshnessBoard) -> None:
        self._figures = figures
        self._board = board
        self._summaries = Kept[SummaryAnswer](lambda _: 1, seconds=0, most=MOST_SUMMARIES)

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/campaigns/{campaign_id}/summary",
                handler=self.summary,
                summary="Key figures of a campaign",
                scopes=SCOPES,
                query=PeriodQuery,
                answer=SummaryAnswer,
            ),
            Route(
                method="GET",
                path="/v1/campaigns/{campaign_id}/performance.json",
                handler=self.performance,
                summary="The rows of performance.csv as values, shares as fractions",
                scopes=SCOPES,
                query=PeriodQuery,
                answer=PerformanceAnswer,
            ),
            Route(
                method="GET",
                path="/v1/campaigns",
                handler=self.campaigns,
                summary="The campaigns that reporting knows, the one that ends last first",
                scopes=SCOPES,
                query=PageOfList,
                answer=CampaignsAnswer,
            ),
        ]

    async def summary(self, call: Call[Any, Any]) -> SummaryAnswer:
        """Kept as long as it took to make: a page asks every five seconds, and a period may take several to add up."""
        chosen = await selected(self._figures, call)

        async def sum_up() -> SummaryAnswer:
            return SummaryAnswer(**await summarise(self._figures, chosen, self._board.latest))

        answer = await self._summaries.get((chosen.campaign.id, call.query, access_of(call.caller)), sum_up)
        lag_seconds = max(0.0, round((chosen.of.now - answer.as_of).total_seconds(), 3))
        return answer.model_copy(update={"lag_seconds": lag_seconds})

    async def performance(self, call: Call[Any, Any]) -> PerformanceAnswer:
        chosen = await selected(self._figures, call)
        freshness = self._board.latest
        rows = await list_performance(self._figures, chosen)
        return PerformanceAnswer(
            as_of=freshness.as_of,
            lag_seconds=freshness.lag_seconds(chosen.of.now),
            items=[PerformanceRow(**row) for row in rows],
        )

    async def campaigns(self, call: Call[Any, Any]) -> CampaignsAnswer:
        start, limit, now = int(call.query.cursor or 0), call.query.limit, datetime.now(UTC)
        known = [known_campaign(row) for row in await self._figures.campaigns()]
        items = [
            CampaignItem(
                id=c.id, name=c.name, state=c.state(now), starts_at=c.starts_at, ends_at=c.ends_at, time_zone=c.time_zone
            )
            for c in known[start : start + limit]
        ]
        return CampaignsAnswer(items=items, next_cursor=str(start + limit) if start + limit < len(known) else None)
