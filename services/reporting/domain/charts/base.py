"""What all charts have: a heading, and their data as a table."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from services.reporting.domain import words
from services.reporting.domain.campaigns import KnownCampaign
from services.reporting.domain.periods import Period


class ChartName(StrEnum):
    TOP_STORES = "top-stores"
    DAILY = "daily"
    SHARE = "share"
    RANK_HISTORY = "rank-history"
    RATES = "rates"
    HEATMAP = "heatmap"
    OUTCOMES = "outcomes"
    BURN_DOWN = "burn-down"
    DAYS_TO_REDEEM = "days-to-redeem"


NAMES_IN_WORDS = {
    ChartName.TOP_STORES: "Top stores",
    ChartName.DAILY: "Redemptions by day",
    ChartName.SHARE: "Share of redemptions",
    ChartName.RANK_HISTORY: "Ranks over time",
    ChartName.RATES: "Redemption rates of stores",
    ChartName.HEATMAP: "Hours of the week",
    ChartName.OUTCOMES: "Refused requests",
    ChartName.BURN_DOWN: "Codes left",
    ChartName.DAYS_TO_REDEEM: "Days to redeem",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """`name`: the chart's own. `headline`: what is seen. `subtitle`: what and when. `footer`: as of, and the source."""

    name: str
    campaign: str
    headline: str
    subtitle: str
    footer: str

    @property
    def title(self) -> str:
        return f"{self.name} · {words.isolated(self.campaign)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the headings of one answer share. `now` is in the campaign's zone."""

    campaign: KnownCampaign
    period: Period | None
    now: datetime
    as_of: datetime
    only: str = ""

    def heading(self, name: ChartName, headline: str, what: str) -> Heading:
        """A heading; `what` says what is counted, the period and the filter follow it."""
        zone = self.campaign.zone
        when = words.span(self.period, self.now) if self.period else self._so_far()
        parts = [what, when, self.only, f"{self.campaign.time_zone.replace('_', ' ')} time"]
        as_of = words.clock(self.as_of.astimezone(zone))
        return Heading(
            name=NAMES_IN_WORDS[name],
            campaign=self.campaign.name,
            headline=headline,
            subtitle=" · ".join(part for part in parts if part),
            footer=f"as of {as_of} · Counterfoil, from the ledger of redemptions",
        )

    def _so_far(self) -> str:
        zone = self.campaign.zone
        first = self.campaign.starts_at.astimezone(zone).date()
        last = min(self.now, self.campaign.ends_at.astimezone(zone)).date()
        return words.days(first, max(first, last))


class Chart(Protocol):
    """The data of a chart."""

    @property
    def heading(self) -> Heading: ...

    def table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Columns and rows of the same data."""
        ...
