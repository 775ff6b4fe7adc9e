"""Writing down what was decided, in the form in which it is published."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from services.redemption.domain.ledger import LedgerEntry
from services.redemption.domain.requests import CodeState, Received
from shared.contracts.game_platforms import RedeemRequest, ReverseRequest
from shared.contracts.redemption import RETRYABLE, Outcome, OutcomeName, OutcomeType, Source, public_of, type_of


class Stamp(msgspec.Struct, frozen=True):
    """When a decision was made, and after which other one on the same partition."""

    decided_at: datetime
    prev: Source | None


def rejected(
    received: Received,
    stamp: Stamp,
    outcome: OutcomeName,
    *,
    retry_after: int | None = None,
    store_region: str | None = None,
    same_player: bool | UnsetType = UNSET,
    redeemed_at: datetime | UnsetType = UNSET,
    redemption_id: str | None = None,
) -> Outcome:
    """A redemption that was refused."""
    request, reading = received.request, received.reading
    assert isinstance(request, RedeemRequest)
    batch = reading.batch
    return Outcome(
        type=OutcomeType.REJECTED,
        event_id=request.event_id,
        platform=request.platform,
        outcome=outcome,
        public=public_of(outcome),
        retryable=outcome in RETRYABLE,
        retry_after=retry_after,
        redemption_id=redemption_id,
        duplicate=False,
        serial=reading.serial,
        code_hint=reading.hint,
        campaign_id=batch.campaign_id if batch is not None else None,
        batch_id=batch.id if batch is not None else None,
        store_id=reading.store_id,
        store_region=store_region,
        player_id=request.player_id,
        occurred_at=request.occurred_at,
        received_at=received.received_at,
        decided_at=stamp.decided_at,
        source=received.source,
        prev=stamp.prev,
        same_player=same_player,
        redeemed_at=redeemed_at,
    )


def accepted(entry: LedgerEntry, received: Received, stamp: Stamp, *, duplicate: bool = False) -> Outcome:
    """A redemption, for the first time or as it was answered then (its own times included) when it is sent again."""
    return _of_entry(
        entry,
        OutcomeName.REDEEMED,
        duplicate=duplicate,
        hint=received.reading.hint,
        source=received.source,
        prev=stamp.prev,
    )


def redemption_reversed(entry: LedgerEntry, received: Received, stamp: Stamp) -> Outcome:
    """The answer to a redemption that is sent again after it was taken back."""
    return _of_entry(
        entry,
        OutcomeName.REDEMPTION_REVERSED,
        duplicate=True,
        hint=received.reading.hint,
        source=received.source,
        prev=stamp.prev,
    )


def reversed_(entry: LedgerEntry, received: Received, stamp: Stamp, *, duplicate: bool, hint: str | None) -> Outcome:
    """A reversal, for the first time or again. `entry` holds the reversal that counts."""
    reversal = entry.reversal
    assert reversal is not None
    return Outcome(
        type=OutcomeType.REVERSED,
        event_id=received.request.event_id,
        platform=entry.platform,
        outcome=OutcomeName.REVERSED,
        public=public_of(OutcomeName.REVERSED),
        retryable=False,
        retry_after=None,
        redemption_id=entry.redemption_id,
        duplicate=duplicate,
        serial=entry.serial,
        code_hint=hint,
        campaign_id=entry.campaign_id,
        batch_id=entry.batch_id,
        store_id=entry.store_id,
        store_region=entry.store_region,
        player_id=entry.player_id,
        occurred_at=reversal.occurred_at,
        received_at=reversal.received_at,
        decided_at=reversal.decided_at,
        source=received.source,
        prev=stamp.prev,
        reverses=entry.event_id,
        reason=reversal.reason.value,
        redeemed_occurred_at=entry.occurred_at,
    )


def not_reversed(received: Received, stamp: Stamp, outcome: OutcomeName, entry: LedgerEntry | None = None) -> Outcome:
    """A reversal that was refused; `entry` is its redemption where one was found."""
    request = received.request
    assert isinstance(request, ReverseRequest)
    return Outcome(
        type=type_of(outcome),
        event_id=request.event_id,
        platform=request.platform,
        outcome=outcome,
        public=public_of(outcome),
        retryable=outcome in RETRYABLE,
        retry_after=None,
        redemption_id=entry.redemption_id if entry else None,
        duplicate=False,
        serial=entry.serial if entry else None,
        code_hint=received.reading.hint if received.reading.state is not CodeState.ABSENT else None,
        campaign_id=entry.campaign_id if entry else None,
        batch_id=entry.batch_id if entry else None,
        store_id=entry.store_id if entry else None,
        store_region=entry.store_region if entry else None,
        player_id=entry.player_id if entry else None,
        occurred_at=request.occurred_at,
        received_at=received.received_at,
        decided_at=stamp.decided_at,
        source=received.source,
        prev=stamp.prev,
        reverses=request.reverses,
        reason=request.reason.value,
        redeemed_occurred_at=entry.occurred_at if entry else UNSET,
    )


def looked_up(entry: LedgerEntry, hint: str | None) -> Outcome:
    """What the ledger answers when it is asked for an event, without a request."""
    outcome = OutcomeName.REDEEMED if entry.reversal is None else OutcomeName.REDEMPTION_REVERSED
    return _of_entry(entry, outcome, duplicate=False, hint=hint, source=entry.source, prev=None)


def _of_entry(
    entry: LedgerEntry, outcome: OutcomeName, *, duplicate: bool, hint: str | None, source: Source, prev: Source | None
) -> Outcome:
    return Outcome(
        type=type_of(outcome),
        event_id=entry.event_id,
        platform=entry.platform,
        outcome=outcome,
        public=public_of(outcome),
        retryable=False,
        retry_after=None,
        redemption_id=entry.redemption_id,
        duplicate=duplicate,
        serial=entry.serial,
        code_hint=hint,
        campaign_id=entry.campaign_id,
        batch_id=entry.batch_id,
        store_id=entry.store_id,
        store_region=entry.store_region,
        player_id=entry.player_id,
        occurred_at=entry.occurred_at,
        received_at=entry.received_at,
        decided_at=entry.decided_at,
        source=source,
        prev=prev,
        reversed=UNSET if outcome is OutcomeName.REDEEMED else True,
    )


def accepted_of(entry: LedgerEntry, hint: str | None, prev: Source | None) -> Outcome:
    """The outcome that a ledger entry was first published with."""
    return _of_entry(entry, OutcomeName.REDEEMED, duplicate=False, hint=hint, source=entry.source, prev=prev)


def reversal_of(entry: LedgerEntry, hint: str | None, prev: Source | None) -> Outcome:
    """The outcome that an entry's reversal was first published with."""
    reversal = entry.reversal
    assert reversal is not None
    outcome = _of_entry(entry, OutcomeName.REVERSED, duplicate=False, hint=hint, source=reversal.source, prev=prev)
    return msgspec.structs.replace(
        outcome,
        event_id=reversal.event_id,
        occurred_at=reversal.occurred_at,
        received_at=reversal.received_at,
        decided_at=reversal.decided_at,
        reversed=UNSET,
        reverses=entry.event_id,
        reason=reversal.reason.value,
        redeemed_occurred_at=entry.occurred_at,
    )
