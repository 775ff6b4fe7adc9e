"""The topics: names, keys, who writes, who reads, and how the broker keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

DAY_MILLISECONDS: Final = 24 * 60 * 60 * 1000
KEPT_FOR_EVER: Final[Mapping[str, str]] = {"retention.ms": "-1", "retention.bytes": "-1"}
COMPACTED: Final[Mapping[str, str]] = {"cleanup.policy": "compact"}
LARGE_RECORD_BYTES: Final = 4 * 1024 * 1024
"""Records of batches and voids name thousands of stores or ranges; broker and clients allow this much there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic. `partitions` is the default at creation; `settings` are the broker's own names for topic settings."""

    name: str
    key: str
    partitions: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


CAMPAIGNS: Final = Topic(
    name="promo.campaigns.v1",
    key="campaign_id",
    partitions=1,
    producers=("codegen",),
    consumers=("codegen", "redemption", "ranking", "reporting"),
    settings=COMPACTED,
)
STORES: Final = Topic(
    name="promo.stores.v1",
    key="store_id",
    partitions=1,
    producers=("codegen",),
    consumers=("codegen", "redemption", "ranking", "reporting"),
    settings=COMPACTED,
)
BATCHES: Final = Topic(
    name="promo.batches.v1",
    key="batch_id",
    partitions=1,
    producers=("codegen",),
    consumers=("codegen", "redemption", "ranking", "reporting"),
    settings={**COMPACTED, "max.message.bytes": str(LARGE_RECORD_BYTES)},
)
VOIDS: Final = Topic(
    name="promo.voids.v1",
    key="void id",
    partitions=1,
    producers=("codegen",),
    consumers=("codegen", "redemption", "reporting"),
    settings={**KEPT_FOR_EVER, "max.message.bytes": str(LARGE_RECORD_BYTES)},
)
TOKENS: Final = Topic(
    name="promo.tokens.v1",
    key="token id",
    partitions=1,
    producers=("codegen",),
    consumers=("codegen", "redemption", "ranking", "reporting"),
    settings=COMPACTED,
)
REQUESTS: Final = Topic(
    name="game.redemptions.v1",
    key="any; the code, normalised, is advised",
    partitions=6,
    producers=("game platforms", "redemption"),
    consumers=("redemption", "ranking"),
    settings={"retention.ms": str(7 * DAY_MILLISECONDS), "message.timestamp.type": "LogAppendTime"},
)
OUTCOMES: Final = Topic(
    name="promo.outcomes.v1",
    key="the request's key, on the request's partition number",
    partitions=6,
    producers=("redemption",),
    consumers=("codegen", "redemption", "ranking", "reporting"),
    settings=KEPT_FOR_EVER,
)
DEAD_LETTERS: Final = Topic(
    name="promo.dead-letters.v1",
    key="the record's key",
    partitions=1,
    producers=("redemption",),
    consumers=("codegen",),
    settings={"retention.ms": str(30 * DAY_MILLISECONDS)},
)
STANDINGS: Final = Topic(
    name="promo.standings.v1",
    key="campaign_id/board/store_id",
    partitions=1,
    producers=("ranking",),
    consumers=("reporting",),
    settings={"retention.ms": str(90 * DAY_MILLISECONDS)},
)

ALL_TOPICS: Final[tuple[Topic, ...]] = (
    CAMPAIGNS,
    STORES,
    BATCHES,
    VOIDS,
    TOKENS,
    OUTCOMES,
    REQUESTS,
    DEAD_LETTERS,
    STANDINGS,
)
"""In the order in which they are made: outcomes before requests, so that a partition to publish to is always there."""

REDEMPTION_GROUP: Final = "counterfoil.redemption"
"""The consumer group of the request topic. Its committed offsets tell lag and certify windows; nothing starts from them."""
