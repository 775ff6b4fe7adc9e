"""What redemption publishes: one outcome for every request, and dead letters for what is no request."""

from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

import msgspec

from shared.contracts.game_platforms import Moment


class OutcomeType(StrEnum):
    ACCEPTED = "redemption.accepted"
    REJECTED = "redemption.rejected"
    REVERSED = "redemption.reversed"


class OutcomeName(StrEnum):
    REDEEMED = "REDEEMED"
    EVENT_ID_REUSED = "EVENT_ID_REUSED"
    REDEMPTION_REVERSED = "REDEMPTION_REVERSED"
    MALFORMED_CODE = "MALFORMED_CODE"
    RATE_LIMITED = "RATE_LIMITED"
    UNKNOWN_CODE = "UNKNOWN_CODE"
    ALREADY_REDEEMED = "ALREADY_REDEEMED"
    CODE_VOID = "CODE_VOID"
    CAMPAIGN_PAUSED = "CAMPAIGN_PAUSED"
    EVENT_TIME_OUT_OF_RANGE = "EVENT_TIME_OUT_OF_RANGE"
    NOT_YET_ACTIVE = "NOT_YET_ACTIVE"
    EXPIRED = "EXPIRED"
    WRONG_GAME = "WRONG_GAME"
    REGION_NOT_ALLOWED = "REGION_NOT_ALLOWED"
    PLAYER_LIMIT_REACHED = "PLAYER_LIMIT_REACHED"
    STORE_LIMIT_REACHED = "STORE_LIMIT_REACHED"
    CAMPAIGN_LIMIT_REACHED = "CAMPAIGN_LIMIT_REACHED"
    REVERSED = "REVERSED"
    NOTHING_TO_REVERSE = "NOTHING_TO_REVERSE"
    REVERSAL_TOO_LATE = "REVERSAL_TOO_LATE"


class Public(StrEnum):
    """All that a player should see of an outcome."""

    REDEEMED = "REDEEMED"
    TRY_LATER = "TRY_LATER"
    NOT_VALID = "NOT_VALID"


RETRYABLE: Final = frozenset(
    {
        OutcomeName.RATE_LIMITED,
        OutcomeName.CAMPAIGN_PAUSED,
        OutcomeName.NOT_YET_ACTIVE,
        OutcomeName.NOTHING_TO_REVERSE,
    }
)


def public_of(outcome: OutcomeName) -> Public:
    """What a player may see of this outcome (`semantics.md`)."""
    if outcome is OutcomeName.REDEEMED:
        return Public.REDEEMED
    return Public.TRY_LATER if outcome in RETRYABLE else Public.NOT_VALID


def type_of(outcome: OutcomeName) -> OutcomeType:
    """The event type that carries this outcome."""
    if outcome is OutcomeName.REDEEMED:
        return OutcomeType.ACCEPTED
    return OutcomeType.REVERSED if outcome is OutcomeName.REVERSED else OutcomeType.REJECTED


class Source(msgspec.Struct, frozen=True, kw_only=True, order=True, gc=False):
    """Where a request stood: the epoch of its topic, its partition and its offset."""

    epoch: int
    partition: int
    offset: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was decided of one request.

    `serial` and what follows from it (campaign, batch, store) are null where the code led nowhere. `prev` is the source of
    the outcome before this one on the same partition, null for the first. The fields from `same_player` on are present only
    where `semantics.md` gives them; absent is UNSET, so that an outcome is always written with the same bytes.
    """

    type: OutcomeType
    event_id: str
    platform: str
    outcome: OutcomeName
    public: Public
    retryable: bool
    retry_after: int | None
    redemption_id: str | None
    duplicate: bool
    serial: int | None
    code_hint: str | None
    campaign_id: str | None
    batch_id: str | None
    store_id: str | None
    store_region: str | None
    player_id: str | None
    occurred_at: Moment
    received_at: Moment
    decided_at: Moment
    source: Source
    prev: Source | None
    same_player: bool | msgspec.UnsetType = msgspec.UNSET
    redeemed_at: datetime | msgspec.UnsetType = msgspec.UNSET
    reversed: bool | msgspec.UnsetType = msgspec.UNSET
    reverses: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    redeemed_occurred_at: datetime | msgspec.UnsetType = msgspec.UNSET


class Effect(StrEnum):
    """What an outcome does to the counts of a store."""

    REDEMPTION = "redemption"
    REVERSAL = "reversal"
    NONE = "none"


def effect_of(outcome: Outcome) -> Effect:
    """Duplicates and rejections change no count; consumers that count use this and nothing else."""
    if outcome.duplicate:
        return Effect.NONE
    match outcome.type:
        case OutcomeType.ACCEPTED:
            return Effect.REDEMPTION
        case OutcomeType.REVERSED:
            return Effect.REVERSAL
        case OutcomeType.REJECTED:
            return Effect.NONE
    assert_never(outcome.type)


def counted_at(outcome: Outcome) -> datetime:
    """The moment whose window an outcome counts in: a reversal counts in the windows of the redemption it takes back."""
    if outcome.redeemed_occurred_at is not msgspec.UNSET:
        return outcome.redeemed_occurred_at
    return outcome.occurred_at
