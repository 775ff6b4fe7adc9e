"""Where a partition's loop stands, and whether the logs agree with it (`protocol.md`, rule 2)."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from shared.contracts.redemption import Source


class StoredOutcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An outcome as it is published: key, value, and what its headers say."""

    key: bytes | None
    value: bytes
    offset: int
    type: str


class StoredOutcomes(msgspec.Struct, frozen=True, array_like=True):
    """A batch's outcomes, kept until they are acknowledged and published again by whoever takes over."""

    epoch: int
    partition: int
    decided_at: str
    outcomes: Sequence[StoredOutcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A partition's row: the next offset to decide, and what was decided last.

    `last_key_hash` and `last_timestamp` are of the record before the position; None where none was decided yet or records were
    skipped. `outbox` is compressed.
    """

    partition: int
    epoch: int
    position: int
    version: int
    outbox: bytes | None
    last_key_hash: int | None
    last_timestamp: int | None
    last_source: Source | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is remembered of a record to know it again: its key's hash and its timestamp in milliseconds."""

    key_hash: int
    timestamp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """What the request log says when a partition is taken over. `before` is the record before the position, if it is held."""

    first: int
    end: int
    before: Mark | None


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a partition must not go on by itself, and the command that mends it."""

    reason: str
    command: str
    mends_epoch: bool = False


def find_lost_commit(place: Place, last_outcome: Source | None) -> Stop | None:
    """Whether outcomes were published that the ledger knows nothing of: Postgres was restored to an earlier moment."""
    if last_outcome is None or (last_outcome.epoch, last_outcome.offset) < (place.epoch, place.position):
        return None
    return Stop(
        f"Postgres has lost a commit: outcomes are published up to offset {last_outcome.offset} of epoch {last_outcome.epoch},"
        f" the ledger stands before offset {place.position} of epoch {place.epoch}.",
        "counterfoil positions recover",
    )


def find_stop(place: Place, logs: Logs) -> Stop | None:
    """Whether the request log contradicts the place: a topic made anew, or records that are gone undecided."""
    if place.position > logs.end or _is_another(place, logs.before):
        return Stop(
            f"the request topic was made anew: what it holds before offset {place.position} is not what was decided.",
            "counterfoil positions new-epoch",
            mends_epoch=True,
        )
    if place.position < logs.first:
        return Stop(
            f"the request topic begins at offset {logs.first}; offsets from {place.position} are gone undecided.",
            f"counterfoil positions skip --partition {place.partition}",
        )
    return None


def _is_another(place: Place, before: Mark | None) -> bool:
    if before is None or place.last_key_hash is None:
        return False
    return (before.key_hash, before.timestamp) != (place.last_key_hash, place.last_timestamp)
