"""Figures as JSON."""

from datetime import datetime
from typing import Any

from services.reporting.api.queries import PeriodQuery, selected
from services.reporting.api.sheets import SCOPES
from services.reporting.domain.campaigns import State
from services.reporting.handlers.figures import summarise
from services.reporting.handlers.freshness import FreshnessBoard
from services.reporting.store.reading import FigureStore
from shared.web.routes import Call, Fields, Route


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


class Figures:
    """Answers with figures."""

    def __init__(self, figures: FigureStore, board: FreshnessBoard) -> None:
        self._figures = figures
        self._board = board

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
            )
        ]

    async def summary(self, call: Call[Any, Any]) -> SummaryAnswer:
        chosen = await selected(self._figures, call)
        found = await summarise(self._figures, chosen, self._board.latest)
        campaign = chosen.campaign
        return SummaryAnswer(
            campaign_id=campaign.id,
            name=campaign.name,
            time_zone=campaign.time_zone,
            starts_at=campaign.starts_at,
            ends_at=campaign.ends_at,
            **{name: getattr(found, name) for name in found.__slots__},
        )
