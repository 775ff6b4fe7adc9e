"""Deciding requests one after another (`semantics.md`): the first check that fails is the outcome.

`decide_batch` is a pure function. What a record changes is seen by the records after it in the same batch.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from math import ceil
from typing import Final, TypeVar

import msgspec

from services.redemption.domain import outcomes
from services.redemption.domain.budgets import Attempts, Breakers, Budgets, Tally
from services.redemption.domain.catalogue import Catalogue, Counting
from services.redemption.domain.facts import Change, Decisions, Facts
from services.redemption.domain.ledger import EventKey, LedgerEntry, PlayerKey, PlayerSlot, Reversal, StoreSlot
from services.redemption.domain.outcomes import Stamp
from services.redemption.domain.requests import CodeState, Received
from shared.contracts.codegen import Campaign
from shared.contracts.game_platforms import RedeemRequest, ReverseRequest
from shared.contracts.redemption import Outcome, OutcomeName, Source

OCCURRED_BEFORE_LIMIT: Final = timedelta(hours=72)
OCCURRED_AFTER_LIMIT: Final = timedelta(minutes=5)
REVERSAL_LIMIT: Final = timedelta(days=90)
BREAKER_RETRY_SECONDS: Final = 60

Slot = TypeVar("Slot")


class InternalFailure(Exception):  # noqa: N818 (the reason of the dead letter that this record becomes)
    """Deciding one request failed by a fault of ours; the others of its batch are to be decided without it."""

    def __init__(self, source: Source) -> None:
        super().__init__(f"a request at {source} could not be decided")
        self.source = source


def redemption_id(source: Source) -> str:
    """The id of the redemption that a request at this source becomes, the same however often it is made (rule 11)."""
    digest = blake2b(
        b"%d/%d/%d" % (source.epoch, source.partition, source.offset), digest_size=16, person=b"redemption"
    ).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-a{digest[17:20]}-{digest[20:]}"


def decide_batch(
    batch: Sequence[Received],
    facts: Facts,
    catalogue: Catalogue,
    budgets: Budgets,
    *,
    decided_at: datetime,
    prev: Source | None,
    counting: Counting,
) -> Decisions:
    """Decides requests of one partition in offset order. `prev` is the source of the partition's last outcome before them.

    Raises InternalFailure for the first request that cannot be decided because of a fault of ours.
    """
    decider = Decider(facts, catalogue, budgets, decided_at=decided_at, prev=prev, counting=counting)
    for received in batch:
        try:
            decider.decide(received)
        except Exception as error:
            raise InternalFailure(received.source) from error
    return decider.decisions()


class Decider:
    """The facts as they are after the records so far, and what has to be written for them."""

    def __init__(
        self,
        facts: Facts,
        catalogue: Catalogue,
        budgets: Budgets,
        *,
        decided_at: datetime,
        prev: Source | None,
        counting: Counting,
    ) -> None:
        self._facts = facts
        self._catalogue = catalogue
        self._budgets = budgets
        self._decided_at = decided_at
        self._prev = prev
        self._counting = counting
        self._by_event: dict[EventKey, LedgerEntry] = {entry.event: entry for entry in facts.entries}
        self._latest = _latest_by_serial(facts.entries)
        self._attempts = {player: Attempts(times, budgets.attempts_kept) for player, times in facts.attempts.items()}
        self._breakers = Breakers(facts.tallies, budgets)
        self._outcomes: list[Outcome] = []
        self._redemptions: dict[EventKey, LedgerEntry] = {}
        self._reversals: list[LedgerEntry] = []
        self._players: dict[PlayerSlot, int] = {}
        self._campaigns: dict[str, Change] = {}
        self._stores: dict[StoreSlot, Change] = {}

    def decide(self, received: Received) -> None:
        """Decides the next record."""
        stamp = Stamp(self._decided_at, self._prev)
        match received.request:
            case RedeemRequest() as request:
                outcome = self._redeem(request, received, stamp)
            case ReverseRequest() as request:
                outcome = self._reverse(request, received, stamp)
        self._outcomes.append(outcome)
        self._prev = outcome.source

    def decisions(self) -> Decisions:
        return Decisions(
            outcomes=self._outcomes,
            redemptions=list(self._redemptions.values()),
            reversals=self._reversals,
            player_changes={slot: change for slot, change in self._players.items() if change},
            campaign_changes=self._campaigns,
            store_changes=self._stores,
            attempts={player: attempts.added for player, attempts in self._attempts.items() if attempts.added},
            tallies=[
                Tally(platform=platform, starts_at=starts_at, requests=requests, unknown=unknown)
                for (platform, starts_at), (requests, unknown) in self._breakers.added.items()
            ],
            last_source=self._prev,
        )

    def _redeem(self, request: RedeemRequest, received: Received, stamp: Stamp) -> Outcome:
        first = self._by_event.get((request.platform, request.event_id))
        if first is not None:
            return self._again(first, request, received, stamp)
        return self._guess(request, received, stamp) or self._redeem_issued(request, received, stamp)

    def _again(self, first: LedgerEntry, request: RedeemRequest, received: Received, stamp: Stamp) -> Outcome:
        if first.serial != received.reading.serial or first.player_id != request.player_id:
            return self._reject(received, stamp, OutcomeName.EVENT_ID_REUSED)
        if first.reversal is not None:
            return outcomes.redemption_reversed(first, received, stamp)
        return outcomes.accepted(first, received, stamp, duplicate=True)

    def _guess(self, request: RedeemRequest, received: Received, stamp: Stamp) -> Outcome | None:
        """The outcome of a code that is none, or of a player who has tried too many; None for an issued code."""
        at = received.received_milliseconds
        player = (request.platform, request.player_id)
        state = received.reading.state
        if state is CodeState.MALFORMED:
            self._count(request, at, failed=True, unknown=False)
            return self._reject(received, stamp, OutcomeName.MALFORMED_CODE)
        free_at = self._attempts[player].free_again_at(at, self._budgets) if player in self._attempts else None
        if free_at is not None:
            wait = max(1, ceil((free_at - _milliseconds(stamp.decided_at)) / 1000))
            return self._reject(received, stamp, OutcomeName.RATE_LIMITED, retry_after=wait)
        if state is CodeState.ISSUED:
            self._count(request, at, failed=False, unknown=False)
            return None
        masked = self._breakers.is_open(request.platform, at)
        self._count(request, at, failed=True, unknown=True)
        if masked:
            return self._reject(received, stamp, OutcomeName.RATE_LIMITED, retry_after=BREAKER_RETRY_SECONDS)
        return self._reject(received, stamp, OutcomeName.UNKNOWN_CODE)

    def _redeem_issued(self, request: RedeemRequest, received: Received, stamp: Stamp) -> Outcome:
        reading = received.reading
        serial, batch = reading.serial, reading.batch
        assert serial is not None
        assert batch is not None
        latest = self._latest.get(serial)
        if latest is not None and not latest.is_open:
            return self._already_redeemed(latest, request, received, stamp)
        if self._catalogue.is_void(serial):
            return self._reject(received, stamp, OutcomeName.CODE_VOID)
        campaign = self._catalogue.campaign(batch.campaign_id)
        assert campaign is not None
        if self._catalogue.is_paused(batch.id, reading.store_id):
            return self._reject(received, stamp, OutcomeName.CAMPAIGN_PAUSED)
        refusal = self._outside(campaign, request, received, stamp) or self._over_limit(campaign, request, received, stamp)
        return refusal or self._accept(campaign, request, received, stamp, generation=latest.generation + 1 if latest else 0)

    def _already_redeemed(self, latest: LedgerEntry, request: RedeemRequest, received: Received, stamp: Stamp) -> Outcome:
        same_player = (latest.platform, latest.player_id) == (request.platform, request.player_id)
        return self._reject(
            received,
            stamp,
            OutcomeName.ALREADY_REDEEMED,
            same_player=same_player,
            redeemed_at=latest.occurred_at,
            redemption_id=latest.redemption_id if same_player else None,
        )

    def _outside(self, campaign: Campaign, request: RedeemRequest, received: Received, stamp: Stamp) -> Outcome | None:
        """The outcome of a request outside the campaign's time, games or regions."""
        occurred_at, received_at = request.occurred_at, received.received_at
        if not received_at - OCCURRED_BEFORE_LIMIT <= occurred_at <= received_at + OCCURRED_AFTER_LIMIT:
            return self._reject(received, stamp, OutcomeName.EVENT_TIME_OUT_OF_RANGE)
        if occurred_at < campaign.starts_at:
            wait = max(1, ceil((campaign.starts_at - stamp.decided_at).total_seconds()))
            return self._reject(received, stamp, OutcomeName.NOT_YET_ACTIVE, retry_after=wait)
        if occurred_at >= campaign.ends_at or campaign.archived:
            return self._reject(received, stamp, OutcomeName.EXPIRED)
        if campaign.games and request.platform not in campaign.games:
            return self._reject(received, stamp, OutcomeName.WRONG_GAME)
        if campaign.regions and request.region not in campaign.regions:
            return self._reject(received, stamp, OutcomeName.REGION_NOT_ALLOWED)
        return None

    def _over_limit(self, campaign: Campaign, request: RedeemRequest, received: Received, stamp: Stamp) -> Outcome | None:
        limits = campaign.limits
        player = (campaign.id, request.platform, request.player_id)
        if limits.per_player is not None and self._player_count(player) >= limits.per_player:
            return self._reject(received, stamp, OutcomeName.PLAYER_LIMIT_REACHED)
        store = (campaign.id, received.reading.store_id or "")
        if limits.per_store is not None and _is_full(self._facts.store_counts, self._stores, store, limits.per_store):
            return self._reject(received, stamp, OutcomeName.STORE_LIMIT_REACHED)
        if limits.total is not None and _is_full(self._facts.campaign_counts, self._campaigns, campaign.id, limits.total):
            return self._reject(received, stamp, OutcomeName.CAMPAIGN_LIMIT_REACHED)
        return None

    def _accept(
        self, campaign: Campaign, request: RedeemRequest, received: Received, stamp: Stamp, *, generation: int
    ) -> Outcome:
        reading = received.reading
        assert reading.serial is not None
        assert reading.batch is not None
        store = self._catalogue.store(reading.store_id or "")
        entry = LedgerEntry(
            serial=reading.serial,
            generation=generation,
            redemption_id=redemption_id(received.source),
            platform=request.platform,
            event_id=request.event_id,
            player_id=request.player_id,
            campaign_id=campaign.id,
            batch_id=reading.batch.id,
            store_id=reading.store_id or "",
            store_region=store.region if store else None,
            occurred_at=request.occurred_at,
            received_at=received.received_at,
            decided_at=stamp.decided_at,
            source=received.source,
        )
        self._redemptions[entry.event] = entry
        self._keep(entry)
        self._change_counts(entry, +1, frees_store=True, frees_player=True)
        return outcomes.accepted(entry, received, stamp)

    def _reverse(self, request: ReverseRequest, received: Received, stamp: Stamp) -> Outcome:
        entry = self._by_event.get((request.platform, request.reverses))
        reading = received.reading
        if entry is None or (reading.state is not CodeState.ABSENT and reading.serial != entry.serial):
            return outcomes.not_reversed(received, stamp, OutcomeName.NOTHING_TO_REVERSE)
        if entry.reversal is not None:
            return outcomes.reversed_(entry, received, stamp, duplicate=True, hint=reading.hint)
        judged_at = max(request.occurred_at, received.received_at - OCCURRED_BEFORE_LIMIT)
        if judged_at - entry.occurred_at > REVERSAL_LIMIT:
            return outcomes.not_reversed(received, stamp, OutcomeName.REVERSAL_TOO_LATE, entry)
        return self._take_back(entry, request, received, stamp)

    def _take_back(self, entry: LedgerEntry, request: ReverseRequest, received: Received, stamp: Stamp) -> Outcome:
        reversal = Reversal(
            event_id=request.event_id,
            reason=request.reason,
            occurred_at=request.occurred_at,
            received_at=received.received_at,
            decided_at=stamp.decided_at,
            source=received.source,
        )
        taken_back = msgspec.structs.replace(entry, reversal=reversal)
        self._reversals.append(taken_back)
        self._keep(taken_back)
        reason = request.reason
        self._change_counts(entry, -1, frees_store=reason.reopens_code, frees_player=reason.frees_player_slot)
        return outcomes.reversed_(taken_back, received, stamp, duplicate=False, hint=received.reading.hint)

    def _keep(self, entry: LedgerEntry) -> None:
        self._by_event[entry.event] = entry
        latest = self._latest.get(entry.serial)
        if latest is None or entry.generation >= latest.generation:
            self._latest[entry.serial] = entry

    def _change_counts(self, entry: LedgerEntry, change: int, *, frees_store: bool, frees_player: bool) -> None:
        campaign_id = entry.campaign_id
        if frees_player and campaign_id in self._counting.by_player:
            self._players[entry.player_slot] = self._players.get(entry.player_slot, 0) + change
        if not frees_store:
            return
        _apply(self._campaigns.setdefault(campaign_id, Change()), change)
        if campaign_id in self._counting.by_store:
            _apply(self._stores.setdefault(entry.store_slot, Change()), change)

    def _player_count(self, slot: PlayerSlot) -> int:
        return self._facts.player_counts.get(slot, 0) + self._players.get(slot, 0)

    def _count(self, request: RedeemRequest, at: int, *, failed: bool, unknown: bool) -> None:
        self._breakers.add(request.platform, at, unknown=unknown)
        if failed:
            player: PlayerKey = (request.platform, request.player_id)
            if player not in self._attempts:
                self._attempts[player] = Attempts((), self._budgets.attempts_kept)
            self._attempts[player].add(at)

    def _reject(self, received: Received, stamp: Stamp, outcome: OutcomeName, **details: object) -> Outcome:
        store = self._catalogue.store(received.reading.store_id) if received.reading.store_id is not None else None
        return outcomes.rejected(received, stamp, outcome, store_region=store.region if store else None, **details)  # type: ignore[arg-type]


def _latest_by_serial(entries: Sequence[LedgerEntry]) -> dict[int, LedgerEntry]:
    return {entry.serial: entry for entry in sorted(entries, key=lambda entry: entry.generation)}


def _is_full(counts: Mapping[Slot, int] | None, changes: Mapping[Slot, Change], slot: Slot, limit: int) -> bool:
    if counts is None:
        return False
    change = changes.get(slot)
    return counts.get(slot, 0) + (change.net if change else 0) >= limit


def _apply(count: Change, change: int) -> None:
    if change > 0:
        count.add()
    else:
        count.release()


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
