"""What can be asked: the queries and bodies of ranking's routes."""

from datetime import date
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field

from services.ranking.domain.boards import Measure
from services.ranking.domain.calendar import Window
from services.ranking.domain.roster import parse_scope
from services.ranking.handlers.answers import Wanted, WrongValue
from shared.web.routes import Fields

ROWS_BY_DEFAULT: Final = 50
MOST_ROWS: Final = 1_000
MOST_AROUND: Final = 100
MOST_STORES: Final = 1_000
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 9998
"""With a year to spare at the end of the calendar for the weeks around a day."""


def _day(value: Any) -> Any:
    """ISO 8601 alone; pydantic by itself would read 20261122 as seconds since 1970."""
    if not isinstance(value, str):
        return value
    day = date.fromisoformat(value)
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        message = f"must lie in the years {FIRST_YEAR} to {LAST_YEAR}"
        raise ValueError(message)
    return day


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


class SearchQuery(BoardQuery):
    search: str = Field(min_length=1, max_length=100, description="A part of the store's name or id, in any case")
    limit: int = Field(default=20, ge=1, le=100, description="Stores at most")


class PageQuery(Fields):
    """What the page keeps of itself in its address; the page reads it, and a link may say more."""

    model_config = ConfigDict(extra="ignore")
