"""Writing down what was decided, in the form in which it is published."""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from services.redemption.domain.ledger import LedgerEntry, Reversal
from services.redemption.domain.requests import CodeState, Received
from shared.contracts.game_platforms import RedeemRequest, ReverseRequest
from shared.contracts.redemption import RETRYABLE, Outcome, OutcomeName, OutcomeType, Public, Source, public_of, type_of


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """When a decision was made, and after which other one on the same partition."""

    decided_at: datetime
    prev: Source | None


class _Verdict(msgspec.Struct, frozen=True, gc=False):
    """An outcome's name with what follows from it, looked up once instead of a record."""

    outcome: OutcomeName
    type: OutcomeType
    public: Public
    retryable: bool


_VERDICTS: Final = {name: _Verdict(name, type_of(name), public_of(name), name in RETRYABLE) for name in OutcomeName}
_REDEEMED: Final = _VERDICTS[OutcomeName.REDEEMED]
_REVERSED: Final = _VERDICTS[OutcomeName.REVERSED]
_REDEMPTION_REVERSED: Final = _VERDICTS[OutcomeName.REDEMPTION_REVERSED]


def accepted(entry: LedgerEntry, received: Received, stamp: Stamp, *, duplicate: bool = False) -> Outcome:
    """A redemption, for the first time or as it was answered then (its own times included) when it is sent again."""
    return _told(
        entry, entry, _REDEEMED, hint=received.reading.hint, source=received.source, prev=stamp.prev, duplicate=duplicate
    )


def redemption_reversed(entry: LedgerEntry, received: Received, stamp: Stamp) -> Outcome:
    """The answer to a redemption that is sent again after it was taken back."""
    return _told(
        entry,
        entry,
        _REDEMPTION_REVERSED,
        hint=received.reading.hint,
        source=received.source,
        prev=stamp.prev,
        duplicate=True,
        reversed=True,
    )


def reversed_(entry: LedgerEntry, received: Received, stamp: Stamp, *, duplicate: bool) -> Outcome:
    """A reversal, for the first time or again. `entry` holds the reversal that counts."""
    told = _reversal(entry, hint=received.reading.hint, source=received.source, prev=stamp.prev, duplicate=duplicate)
    return msgspec.structs.replace(told, event_id=received.request.event_id)


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
    return _refused(
        received,
        stamp,
        outcome,
        retry_after=retry_after,
        redemption_id=redemption_id,
        serial=reading.serial,
        code_hint=reading.hint,
        campaign_id=reading.batch.campaign_id if reading.batch is not None else None,
        batch_id=reading.batch.id if reading.batch is not None else None,
        store_id=reading.store_id,
        store_region=store_region,
        player_id=request.player_id,
        same_player=same_player,
        redeemed_at=redeemed_at,
    )


def not_reversed(received: Received, stamp: Stamp, outcome: OutcomeName, entry: LedgerEntry | None = None) -> Outcome:
    """A reversal that was refused; `entry` is its redemption where one was found."""
    request, reading = received.request, received.reading
    assert isinstance(request, ReverseRequest)
    return _refused(
        received,
        stamp,
        outcome,
        retry_after=None,
        redemption_id=entry.redemption_id if entry else None,
        serial=entry.serial if entry else None,
        code_hint=reading.hint if reading.state is not CodeState.ABSENT else None,
        campaign_id=entry.campaign_id if entry else None,
        batch_id=entry.batch_id if entry else None,
        store_id=entry.store_id if entry else None,
        store_region=entry.store_region if entry else None,
        player_id=entry.player_id if entry else None,
        reverses=request.reverses,
        reason=request.reason.value,
        redeemed_occurred_at=entry.occurred_at if entry else UNSET,
    )


def looked_up(entry: LedgerEntry, hint: str | None) -> Outcome:
    """What the ledger answers when it is asked for an event, without a request."""
    if entry.reversal is None:
        return accepted_of(entry, hint, None)
    return _told(entry, entry, _REDEMPTION_REVERSED, hint=hint, source=entry.source, prev=None, reversed=True)


def accepted_of(entry: LedgerEntry, hint: str | None, prev: Source | None) -> Outcome:
    """The outcome that a ledger entry was first published with."""
    return _told(entry, entry, _REDEEMED, hint=hint, source=entry.source, prev=prev)


def reversal_of(entry: LedgerEntry, hint: str | None, prev: Source | None) -> Outcome:
    """The outcome that an entry's reversal was first published with."""
    assert entry.reversal is not None
    return _reversal(entry, hint=hint, source=entry.reversal.source, prev=prev, duplicate=False)


def _reversal(entry: LedgerEntry, *, hint: str | None, source: Source, prev: Source | None, duplicate: bool) -> Outcome:
    reversal = entry.reversal
    assert reversal is not None
    return _told(
        entry,
        reversal,
        _REVERSED,
        hint=hint,
        source=source,
        prev=prev,
        duplicate=duplicate,
        reverses=entry.event_id,
        reason=reversal.reason.value,
        redeemed_occurred_at=entry.occurred_at,
    )


def _told(
    entry: LedgerEntry,
    happened: LedgerEntry | Reversal,
    verdict: _Verdict,
    *,
    hint: str | None,
    source: Source,
    prev: Source | None,
    duplicate: bool = False,
    **further: Any,
) -> Outcome:
    """What the ledger says of a redemption, with the event and the times of what happened: itself or its reversal."""
    return Outcome(
        type=verdict.type,
        event_id=happened.event_id,
        platform=entry.platform,
        outcome=verdict.outcome,
        public=verdict.public,
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
        occurred_at=happened.occurred_at,
        received_at=happened.received_at,
        decided_at=happened.decided_at,
        source=source,
        prev=prev,
        **further,
    )


def _refused(received: Received, stamp: Stamp, outcome: OutcomeName, **about: Any) -> Outcome:
    """A request that changes nothing; `about` says which code and player it was about, as far as is known."""
    verdict, request = _VERDICTS[outcome], received.request
    return Outcome(
        type=verdict.type,
        event_id=request.event_id,
        platform=request.platform,
        outcome=outcome,
        public=verdict.public,
        retryable=verdict.retryable,
        duplicate=False,
        occurred_at=request.occurred_at,
        received_at=received.received_at,
        decided_at=stamp.decided_at,
        source=received.source,
        prev=stamp.prev,
        **about,
    )
