"""Deciding requests one after another (`semantics.md`): the first check that fails is the outcome.

`decide_batch` is a pure function. What a record changes is seen by the records after it in the same batch.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final

import msgspec

from services.redemption.domain import outcomes
from services.redemption.domain.budgets import Budgets, Guesses
from services.redemption.domain.catalogue import Catalogue, Counting
from services.redemption.domain.counts import Counts
from services.redemption.domain.facts import Decisions, Facts
from services.redemption.domain.ledger import EventKey, LedgerEntry, Reversal
from services.redemption.domain.outcomes import Stamp
from services.redemption.domain.requests import CodeState, Received
from services.redemption.domain.windows import OCCURRED_BEFORE_LIMIT, outside, seconds_until
from shared.contracts.codegen import Campaign
from shared.contracts.game_platforms import RedeemRequest, ReverseRequest
from shared.contracts.redemption import Outcome, OutcomeName, Source

REVERSAL_LIMIT: Final = timedelta(days=90)
BREAKER_RETRY_SECONDS: Final = 60


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
    decider = Decider(facts, catalogue, Guesses(facts.attempts, facts.tallies, budgets), Counts(facts, counting))
    decided: list[Outcome] = []
    for received in batch:
        try:
            outcome = decider.decide(received, Stamp(decided_at, prev))
        except Exception as error:
            raise InternalFailure(received.source) from error
        decided.append(outcome)
        prev = outcome.source
    return decider.decisions(decided, last_source=prev)


class Decider:
    """The facts as they are after the records so far, and what has to be written for them."""

    def __init__(self, facts: Facts, catalogue: Catalogue, guesses: Guesses, counts: Counts) -> None:
        self._catalogue = catalogue
        self._guesses = guesses
        self._counts = counts
        self._by_event: dict[EventKey, LedgerEntry] = {entry.event: entry for entry in facts.entries}
        self._latest = _latest_by_serial(facts.entries)
        self._redemptions: list[LedgerEntry] = []
        self._reversals: list[LedgerEntry] = []

    def decide(self, received: Received, stamp: Stamp) -> Outcome:
        """Decides the next record."""
        match received.request:
            case RedeemRequest() as request:
                return self._redeem(request, received, stamp)
            case ReverseRequest() as request:
                return self._reverse(request, received, stamp)

    def decisions(self, decided: Sequence[Outcome], *, last_source: Source | None) -> Decisions:
        """What has to be written for the outcomes so far."""
        return Decisions(
            outcomes=decided,
            redemptions=self._redemptions,
            reversals=self._reversals,
            player_changes={slot: change for slot, change in self._counts.players.items() if change},
            campaign_changes=self._counts.campaigns,
            store_changes=self._counts.stores,
            attempts=self._guesses.new_attempts,
            guessers=self._guesses.guessers,
            tallies=self._guesses.new_tallies,
            last_source=last_source,
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
        at, state, guesses = received.received_milliseconds, received.reading.state, self._guesses
        player = (request.platform, request.player_id)
        if state is CodeState.MALFORMED:
            guesses.failed(player, at, unknown=False)
            return self._reject(received, stamp, OutcomeName.MALFORMED_CODE)
        free_at = guesses.free_again_at(player, at)
        if free_at is None and state is CodeState.ISSUED:
            guesses.passed(request.platform, at)
            return None
        free_at = free_at or guesses.room_again_at(player, at)
        if free_at is not None:
            wait = seconds_until(datetime.fromtimestamp(free_at / 1000, UTC), stamp.decided_at)
            return self._reject(received, stamp, OutcomeName.RATE_LIMITED, retry_after=wait)
        masked = guesses.is_open(request.platform, at)
        guesses.failed(player, at, unknown=True)
        if masked:
            return self._reject(received, stamp, OutcomeName.RATE_LIMITED, retry_after=BREAKER_RETRY_SECONDS)
        return self._reject(received, stamp, OutcomeName.UNKNOWN_CODE)

    def _redeem_issued(self, request: RedeemRequest, received: Received, stamp: Stamp) -> Outcome:
        reading, catalogue = received.reading, self._catalogue
        serial, batch, store_id = reading.serial, reading.batch, reading.store_id
        assert serial is not None
        assert batch is not None
        assert store_id is not None
        latest = self._latest.get(serial)
        if latest is not None and not latest.is_open:
            return self._already_redeemed(latest, request, received, stamp)
        if catalogue.is_void(serial):
            return self._reject(received, stamp, OutcomeName.CODE_VOID)
        if catalogue.is_paused(batch, store_id):
            return self._reject(received, stamp, OutcomeName.CAMPAIGN_PAUSED)
        campaign = catalogue.campaign(batch.campaign_id)
        assert campaign is not None
        player = (campaign.id, request.platform, request.player_id)
        refusal = outside(campaign, request, received.received_at) or self._counts.reached(campaign, player, store_id)
        if refusal is not None:
            return self._refuse(refusal, campaign, received, stamp)
        entry = self._entry(request, received, stamp, generation=latest.generation + 1 if latest else 0)
        self._redemptions.append(entry)
        self._keep(entry)
        self._counts.add(entry)
        return outcomes.accepted(entry, received, stamp)

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

    def _refuse(self, outcome: OutcomeName, campaign: Campaign, received: Received, stamp: Stamp) -> Outcome:
        early = outcome is OutcomeName.NOT_YET_ACTIVE
        wait = seconds_until(campaign.starts_at, stamp.decided_at) if early else None
        return self._reject(received, stamp, outcome, retry_after=wait)

    def _entry(self, request: RedeemRequest, received: Received, stamp: Stamp, *, generation: int) -> LedgerEntry:
        reading = received.reading
        assert reading.serial is not None
        assert reading.batch is not None
        store_id = reading.store_id or ""
        store = self._catalogue.store(store_id)
        return LedgerEntry(
            serial=reading.serial,
            generation=generation,
            redemption_id=redemption_id(received.source),
            platform=request.platform,
            event_id=request.event_id,
            player_id=request.player_id,
            campaign_id=reading.batch.campaign_id,
            batch_id=reading.batch.id,
            store_id=store_id,
            store_region=store.region if store else None,
            occurred_at=request.occurred_at,
            received_at=received.received_at,
            decided_at=stamp.decided_at,
            source=received.source,
        )

    def _reverse(self, request: ReverseRequest, received: Received, stamp: Stamp) -> Outcome:
        entry = self._by_event.get((request.platform, request.reverses))
        reading = received.reading
        if entry is None or (reading.state is not CodeState.ABSENT and reading.serial != entry.serial):
            return outcomes.not_reversed(received, stamp, OutcomeName.NOTHING_TO_REVERSE)
        if entry.reversal is not None:
            return outcomes.reversed_(entry, received, stamp, duplicate=True)
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
        self._counts.release(entry, request.reason)
        return outcomes.reversed_(taken_back, received, stamp, duplicate=False)

    def _keep(self, entry: LedgerEntry) -> None:
        self._by_event[entry.event] = entry
        latest = self._latest.get(entry.serial)
        if latest is None or entry.generation >= latest.generation:
            self._latest[entry.serial] = entry

    def _reject(self, received: Received, stamp: Stamp, outcome: OutcomeName, **details: object) -> Outcome:
        store = self._catalogue.store(received.reading.store_id) if received.reading.store_id is not None else None
        return outcomes.rejected(received, stamp, outcome, store_region=store.region if store else None, **details)  # type: ignore[arg-type]


def _latest_by_serial(entries: Sequence[LedgerEntry]) -> dict[int, LedgerEntry]:
    return {entry.serial: entry for entry in sorted(entries, key=lambda entry: entry.generation)}
