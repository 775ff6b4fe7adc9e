"""The answers of ranking's routes, as they are written."""

from collections.abc import Sequence
from datetime import date

import msgspec

from services.ranking.domain.boards import Measure
from services.ranking.domain.calendar import Window
from services.ranking.domain.tables import Adjustment, Movement, Row, StoreStanding
from shared.contracts.game_platforms import Moment


class PeriodBounds(msgspec.Struct, frozen=True, kw_only=True):
    """Half-open, in UTC."""

    starts_at: Moment
    ends_at: Moment


class Leaderboard(msgspec.Struct, frozen=True, kw_only=True):
    """A board's rows. `version` is the same on every copy for the same table; `as_of` and `lag_seconds` are of this answer.

    A certified window's rows are frozen; `adjustments`, which other windows do not have, says what later outcomes changed.
    """

    campaign_id: str
    window: Window
    period: PeriodBounds
    scope: str
    by: Measure
    as_of: Moment
    lag_seconds: float
    version: str
    total: int
    certified: bool
    rows: Sequence[Row]
    adjustments: Sequence[Adjustment] | msgspec.UnsetType = msgspec.UNSET


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One store's place; rank, position and percentile are null when it is unranked. `rows` are its neighbours and itself."""

    campaign_id: str
    store_id: str
    store_name: str
    window: Window
    period: PeriodBounds
    scope: str
    by: Measure
    rank: int | None
    position: int | None
    score: int
    rate: float | None
    total: int
    percentile: float | None
    gap_to_next: int | None
    best_rank: int | None
    movement: Movement
    certified: bool
    rows: Sequence[Row]
    as_of: Moment
    lag_seconds: float
    version: str


class Standings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the stores of a list stand, in the order of the list."""

    campaign_id: str
    window: Window
    period: PeriodBounds
    scope: str
    by: Measure
    as_of: Moment
    lag_seconds: float
    version: str
    total: int
    certified: bool
    standings: Sequence[StoreStanding]


class CampaignSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign that has boards."""

    id: str
    name: str
    time_zone: str
    starts_at: Moment
    ends_at: Moment
    today: date


class CampaignList(msgspec.Struct, frozen=True, kw_only=True):
    """Running campaigns first, then those to come, then those that are over."""

    items: Sequence[CampaignSummary]
    next_cursor: None = None


class ScopeList(msgspec.Struct, frozen=True, kw_only=True):
    """Names as the parameter `scope` takes them after `region:`, `chain:` and `peer:`."""

    regions: Sequence[str]
    chains: Sequence[str]
    peers: Sequence[str]


class PastRank(msgspec.Struct, frozen=True, kw_only=True):
    """At the end of a day, or as of now for today."""

    date: date
    rank: int | None
    score: int


class History(msgspec.Struct, frozen=True, kw_only=True):
    """A store's rank over time on the all-time board; days without a redemption anywhere are left out."""

    campaign_id: str
    store_id: str
    store_name: str
    days: Sequence[PastRank]
