"""What codegen publishes: campaigns, stores, batches, voids and tokens, each value with a `revision` that grows."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.contracts.game_platforms import Moment

Identifier = Annotated[str, Meta(min_length=1, max_length=64)]


class CampaignState(StrEnum):
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"
    ARCHIVED = "archived"


class BatchState(StrEnum):
    QUEUED = "queued"
    GENERATING = "generating"
    VERIFYING = "verifying"
    READY = "ready"
    PUBLISHED = "published"
    FAILED = "failed"
    CANCELLED = "cancelled"


class CampaignLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many redemptions are allowed; null is unlimited, an absent `per_player` is 1."""

    per_player: int | None = 1
    per_store: int | None = None
    total: int | None = None


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign; its window is half-open, `games` and `regions` allow all when empty.

    `state` is what it was when the record was written; who reads it later derives it from the window and the flags.
    """

    revision: int
    id: Identifier
    name: str
    starts_at: Moment
    ends_at: Moment
    time_zone: str
    games: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    limits: CampaignLimits = CampaignLimits()
    state: CampaignState
    paused: bool = False
    archived: bool = False
    created_at: Moment
    updated_at: Moment


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """A store that hands out codes. Hidden and test stores are in no ranking."""

    revision: int
    id: Identifier
    name: str
    chain: str | None = None
    region: str | None = None
    country: str | None = None
    peer_group: str | None = None
    hidden: bool = False
    test: bool = False
    paused: bool = False


class Allotment(msgspec.Struct, frozen=True, kw_only=True):
    """A store's codes within a batch: `count` codes between the two serials, which may have gaps between them."""

    store_id: str
    count: int
    first_serial: int
    last_serial: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch and the range of serials reserved for it. Only `published` makes its codes valid.

    `key_check` tells a wrong key under the right id; `words` is the version of the list of words that are skipped.
    Allotments are final from `ready` on.
    """

    revision: int
    id: Identifier
    campaign_id: str
    state: BatchState
    key_id: str
    key_check: str
    words: str
    count: int
    first_serial: int
    last_serial: int
    allotments: tuple[Allotment, ...]
    paused: bool = False
    published_at: Moment | None = None


class VoidRange(msgspec.Struct, frozen=True, kw_only=True):
    """Serials `first` to `last`, both within; `codes` of them were issued."""

    first: int
    last: int
    batch_id: str
    store_id: str
    codes: int


class Void(msgspec.Struct, frozen=True, kw_only=True):
    """Codes that stop working. A large void is several records under the same id with other ranges."""

    revision: int
    id: Identifier
    ranges: tuple[VoidRange, ...]
    reason: str
    voided_by: str
    voided_at: Moment


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token, by the SHA-256 (hexadecimal) of its text."""

    revision: int
    id: Identifier
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    scopes: tuple[str, ...]
    expires_at: Moment | None = None
    revoked_at: Moment | None = None
