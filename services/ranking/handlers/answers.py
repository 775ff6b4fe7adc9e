"""Answers of the boards: which table is meant, what it says as JSON, and when it was true."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from services.ranking.domain.boards import Measure
from services.ranking.domain.calendar import Window
from services.ranking.domain.campaigns import CampaignBoards
from services.ranking.domain.roster import OVERALL, Scope
from services.ranking.domain.tables import StoreStanding, Table
from services.ranking.handlers.boards import Boards
from services.ranking.handlers.bodies import (
    CampaignList,
    CampaignSummary,
    History,
    PastRank,
    ScopeList,
    Standings,
)
from services.ranking.handlers.rendering import Again, Rendered, bounds_of, render_leaderboard, render_standing

_KEPT_ANSWERS: Final = 10_000
"""A kilobyte or two each, a page of a thousand rows two hundred."""


class UnknownName(Exception):  # noqa: N818 (an everyday answer: 404)
    """There is no such thing; `what` names its kind."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class WrongValue(Exception):  # noqa: N818 (an everyday answer: 422)
    """A parameter that can be read but is not right; the message is a sentence."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which board of a campaign is asked for."""

    campaign_id: str
    window: Window = Window.ALL
    day: date | None = None
    scope: Scope = OVERALL
    by: Measure = Measure.COUNT


class Answers:
    """Reads of the boards. Raises UnknownName and WrongValue. Keeps an answer's bytes until what it says changes."""

    def __init__(self, boards: Boards) -> None:
        self._boards = boards
        self._kept: dict[tuple[object, ...], tuple[tuple[object, ...], Rendered]] = {}

    def leaderboard(self, wanted: Wanted, *, offset: int, limit: int, now: datetime) -> Rendered:
        """The rows from `offset` on."""
        campaign, table = self._campaign(wanted.campaign_id), self._table(wanted, now)
        later = campaign.counted_since(table.name.period) if table.certified else 0
        return self._rendered(
            (wanted, offset, limit), (table, later), lambda: render_leaderboard(campaign, table, offset, limit)
        )

    def standing(self, wanted: Wanted, store_id: str, *, around: int, now: datetime) -> Rendered:
        """A store's place with `around` neighbours on each side."""
        campaign, table = self._campaign(wanted.campaign_id), self._table(wanted, now)
        number, today = self._store(store_id), campaign.today(now)
        whole = self._table(Wanted(campaign_id=wanted.campaign_id), now)

        def render() -> Rendered:
            return render_standing(table, number, around, best_rank=campaign.best_rank(number, today=today))

        return self._rendered((wanted, store_id, around), (table, whole, campaign.best_of), render)

    def _rendered(self, key: tuple[object, ...], made_of: tuple[object, ...], render: Callable[[], Rendered]) -> Rendered:
        """The kept bytes of an answer while it is made of the same."""
        kept = self._kept.get(key)
        if kept is not None and kept[0] == made_of:
            return kept[1]
        if len(self._kept) >= _KEPT_ANSWERS:
            self._kept.clear()
        rendered = render()
        self._kept[key] = (made_of, rendered)
        return rendered

    def standings(self, wanted: Wanted, store_ids: Sequence[str], *, now: datetime) -> Standings:
        """Raises WrongValue where a store of the list is not known."""
        table = self._table(wanted, now)
        found = [self._place(table, index, store_id) for index, store_id in enumerate(store_ids)]
        return self._standings(wanted, table, found, now)

    def search(self, wanted: Wanted, text: str, *, limit: int, now: datetime) -> Standings:
        """The standings of shown stores whose name or id holds the text, the best placed first."""
        table, sought = self._table(wanted, now), text.casefold()
        found = [
            table.standing(number)
            for facts in self._boards.roster
            if facts.shown and (sought in facts.name.casefold() or sought in facts.id.casefold())
            for number in [self._store(facts.id)]
        ]
        found.sort(key=lambda one: (one.position is None, one.position or 0, one.store_id))
        return self._standings(wanted, table, found[:limit], now)

    def history(self, campaign_id: str, store_id: str, *, now: datetime) -> History:
        campaign, number = self._campaign(campaign_id), self._store(store_id)
        facts = self._boards.roster.get(number)
        days = campaign.history(number, today=campaign.today(now))
        return History(
            campaign_id=campaign_id,
            store_id=store_id,
            store_name=facts.name if facts else store_id,
            days=[PastRank(date=day, rank=rank, score=score) for day, rank, score in days],
        )

    def campaigns(self, now: datetime) -> CampaignList:
        def order(campaign: CampaignBoards) -> tuple[bool, bool, float, str]:
            facts = campaign.facts
            return facts.ends_at <= now, facts.starts_at > now, -facts.starts_at.timestamp(), facts.id

        return CampaignList(
            items=[
                CampaignSummary(
                    id=campaign.facts.id,
                    name=campaign.facts.name,
                    time_zone=campaign.facts.time_zone,
                    starts_at=campaign.facts.starts_at,
                    ends_at=campaign.facts.ends_at,
                    today=campaign.today(now),
                )
                for campaign in sorted(self._boards.campaigns.values(), key=order)
            ]
        )

    def scopes(self, campaign_id: str) -> ScopeList:
        """Of all shown stores: whoever hands out codes of the campaign is among them."""
        self._campaign(campaign_id)
        shown = [facts for facts in self._boards.roster if facts.shown]
        return ScopeList(
            regions=sorted({facts.region for facts in shown if facts.region}),
            chains=sorted({facts.chain for facts in shown if facts.chain}),
            peers=sorted({facts.peer_group for facts in shown if facts.peer_group}),
        )

    def again(self, campaign_id: str, rendered: Rendered, *, made_at: datetime) -> Again:
        """Tells, of a later moment, the bytes of an answer that was made now, None once the boards may say something else."""
        boards, generation = self._boards, self._boards.generation
        campaign = self._campaign(campaign_id)
        midnight = campaign.local_days.ends_at(campaign.today(made_at))

        def at(now: datetime) -> tuple[bytes, ...] | None:
            still = boards.generation == generation and now < midnight
            return rendered.parts(boards.as_of(now), now) if still else None

        return at

    def as_of(self, now: datetime) -> datetime:
        return self._boards.as_of(now)

    def store_chain(self, store_id: str) -> str | None:
        """The chain of a store, None without one or for a store that is not known."""
        found = self._boards.roster.find(store_id)
        return found[1].chain if found else None

    def _standings(self, wanted: Wanted, table: Table, found: Sequence[StoreStanding], now: datetime) -> Standings:
        as_of = self._boards.as_of(now)
        return Standings(
            campaign_id=wanted.campaign_id,
            window=wanted.window,
            period=bounds_of(table),
            scope=str(wanted.scope),
            by=wanted.by,
            as_of=as_of,
            lag_seconds=_lag(as_of, now),
            version=table.version,
            total=table.total,
            certified=table.certified,
            standings=found,
        )

    def _place(self, table: Table, index: int, store_id: str) -> StoreStanding:
        try:
            number = self._store(store_id)
        except UnknownName:
            raise WrongValue(f"store_ids.{index}", "there is no such store") from None
        return table.standing(number)

    def _campaign(self, campaign_id: str) -> CampaignBoards:
        campaign = self._boards.campaigns.get(campaign_id)
        if campaign is None:
            raise UnknownName("campaign")
        return campaign

    def _store(self, store_id: str) -> int:
        found = self._boards.roster.find(store_id)
        if found is None:
            raise UnknownName("store")
        return found[0]

    def _table(self, wanted: Wanted, now: datetime) -> Table:
        campaign = self._campaign(wanted.campaign_id)
        today = campaign.today(now)
        refuse_outside(campaign, wanted.window, wanted.day, today=today)
        if not self._boards.roster.has_any(wanted.scope):
            raise WrongValue("scope", f"no store belongs to {wanted.scope}")
        period = campaign.period(wanted.window, wanted.day, today=today)
        return campaign.table(period, wanted.scope, wanted.by, today=today)


def refuse_outside(campaign: CampaignBoards, window: Window, day: date | None, *, today: date) -> None:
    """Raises WrongValue for a day in the future, and for all days up to one before the campaign, which are none."""
    if day is not None and day > today:
        raise WrongValue("date", f"is in the future; today is {today} in {campaign.facts.time_zone}")
    if day is not None and window is Window.ALL and day < campaign.first_day:
        raise WrongValue("date", f"is before the campaign, whose first day is {campaign.first_day}")


def _lag(as_of: datetime, now: datetime) -> float:
    return round(max(0.0, (now - as_of).total_seconds()), 3)
