"""How outcomes add up: a batch of outcomes becomes ledger rows and sums, without I/O.

Every sum is additive, whatever the order: a reversal may be read before its redemption, from another partition.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.reporting.domain.periods import day_of, hour_of
from shared.contracts.game_platforms import ReversalReason
from shared.contracts.redemption import Effect, Outcome, OutcomeType, counted_at, effect_of

UTC_ZONE = ZoneInfo("UTC")
NOWHERE = ""
"""The campaign and the store of an outcome that has none."""

NEAR = timedelta(days=5)
"""Requests that may be redeemed lie within 72 hours; a rejected one that lies further off gets no month of its own."""

ZoneOf = Callable[[str], ZoneInfo]


@dataclass(slots=True)
class Counts:
    """What was added to an hour of a store, or to a store's totals of a batch."""

    accepted: int = 0
    reopened: int = 0
    reversed: int = 0
    rejected: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    reached_at: datetime | None = None


HourKey = tuple[str, str, datetime, int]
"""(campaign, store, the hour's first instant, its offset from UTC)"""
TotalKey = tuple[str, str, str]
"""(campaign, store, batch)"""
PlayerKey = tuple[str, str, str, str]
"""(campaign, store, platform, player)"""


@dataclass(slots=True)
class Folded:
    """The sum of a batch of outcomes.

    `redemptions`, `reversals` and `rejections` are rows as the ledger's tables take them (`store.folding` names the columns).
    `held` maps a serial to the change of "is redeemed now"; a serial whose changes cancel out is left out by the reader.
    """

    redemptions: list[tuple[object, ...]] = field(default_factory=list)
    reversals: list[tuple[object, ...]] = field(default_factory=list)
    rejections: list[tuple[object, ...]] = field(default_factory=list)
    hours: dict[HourKey, Counts] = field(default_factory=lambda: defaultdict(Counts))
    totals: dict[TotalKey, Counts] = field(default_factory=lambda: defaultdict(Counts))
    players: dict[PlayerKey, int] = field(default_factory=lambda: defaultdict(int))
    player_batch: dict[PlayerKey, str] = field(default_factory=dict)
    held: list[tuple[int, str, str, str, int]] = field(default_factory=list)
    months: set[date] = field(default_factory=set)
    last_decided_at: datetime | None = None
    outcomes: int = 0


class IncompleteOutcome(ValueError):  # noqa: N818 (names what was found)
    """An accepted or reversed outcome lacks a field that the contract promises."""


def fold(outcomes: Iterable[Outcome], zone_of: ZoneOf) -> Folded:
    """Adds outcomes up, duplicates left out. Raises IncompleteOutcome."""
    folded = Folded()
    for outcome in outcomes:
        folded.outcomes += 1
        folded.last_decided_at = outcome.decided_at
        match effect_of(outcome):
            case Effect.REDEMPTION:
                _add_redemption(folded, outcome, zone_of)
            case Effect.REVERSAL:
                _add_reversal(folded, outcome, zone_of)
            case Effect.NONE:
                if outcome.type is OutcomeType.REJECTED and not outcome.duplicate:
                    _add_rejection(folded, outcome, zone_of)
    return folded


def _add_redemption(folded: Folded, outcome: Outcome, zone_of: ZoneOf) -> None:
    campaign, store, batch, serial, player = _complete(outcome)
    at = outcome.occurred_at
    folded.redemptions.append(
        (
            campaign,
            at,
            outcome.redemption_id,
            outcome.event_id,
            outcome.platform,
            outcome.decided_at,
            serial,
            batch,
            store,
            outcome.store_region,
            player,
        )
    )
    folded.months.add(at.date().replace(day=1))
    hour = hour_of(at, zone_of(campaign))
    folded.hours[campaign, store, hour.starts_at, hour.utc_offset].accepted += 1
    totals = folded.totals[campaign, store, batch]
    totals.accepted += 1
    if totals.first_at is None or at < totals.first_at:
        totals.first_at = at
    if totals.last_at is None or at > totals.last_at:
        totals.last_at = at
    _reach(totals, at)
    _add_player(folded, (campaign, store, outcome.platform, player), batch, 1)
    folded.held.append((serial, campaign, store, batch, 1))


def _add_reversal(folded: Folded, outcome: Outcome, zone_of: ZoneOf) -> None:
    campaign, store, batch, serial, player = _complete(outcome)
    reason = ReversalReason(str(outcome.reason))
    redeemed_at = counted_at(outcome)
    folded.reversals.append(
        (
            campaign,
            redeemed_at,
            outcome.redemption_id,
            outcome.occurred_at,
            outcome.decided_at,
            reason.value,
            reason.reopens_code,
            serial,
            batch,
            store,
        )
    )
    hour = hour_of(redeemed_at, zone_of(campaign))
    counts = folded.hours[campaign, store, hour.starts_at, hour.utc_offset]
    totals = folded.totals[campaign, store, batch]
    counts.reversed += 1
    totals.reversed += 1
    _reach(totals, outcome.occurred_at)
    _add_player(folded, (campaign, store, outcome.platform, player), batch, -1)
    if reason.reopens_code:
        counts.reopened += 1
        totals.reopened += 1
        folded.held.append((serial, campaign, store, batch, -1))


def _add_rejection(folded: Folded, outcome: Outcome, zone_of: ZoneOf) -> None:
    campaign, store = outcome.campaign_id or NOWHERE, outcome.store_id or NOWHERE
    at = outcome.occurred_at
    hour = hour_of(at, zone_of(campaign) if campaign else UTC_ZONE)
    if abs(at - outcome.received_at) < NEAR:
        folded.months.add(at.date().replace(day=1))
    folded.rejections.append((campaign, at, day_of(hour), outcome.platform, outcome.outcome.value, store, outcome.player_id))
    if not campaign:
        return
    folded.hours[campaign, store, hour.starts_at, hour.utc_offset].rejected += 1
    folded.totals[campaign, store, outcome.batch_id or NOWHERE].rejected += 1


def _complete(outcome: Outcome) -> tuple[str, str, str, int, str]:
    campaign, store, batch = outcome.campaign_id, outcome.store_id, outcome.batch_id
    if campaign is None or store is None or batch is None or outcome.serial is None:
        raise IncompleteOutcome(f"{outcome.type} at {outcome.source} names no campaign, store, batch or serial")
    if outcome.player_id is None or outcome.redemption_id is None:
        raise IncompleteOutcome(f"{outcome.type} at {outcome.source} names no player or redemption")
    return campaign, store, batch, outcome.serial, outcome.player_id


def _add_player(folded: Folded, key: PlayerKey, batch: str, change: int) -> None:
    folded.players[key] += change
    folded.player_batch.setdefault(key, batch)


def _reach(totals: Counts, at: datetime) -> None:
    if totals.reached_at is None or at > totals.reached_at:
        totals.reached_at = at
