"""Batches: what is asked for, the range that it needs, and what is told of it while it is made."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from services.codegen.domain.refusals import Conflict, Fault, Wrong, wrong
from shared.contracts.codegen import Allotment, Batch, BatchState
from shared.contracts.game_platforms import Moment

CODES_LIMIT: Final = 100_000_000
STORES_LIMIT: Final = 10_000
POSSIBLE_CODES: Final = 32**9
OWN_PARTITION_COUNT: Final = 100_000
"""A batch of at least so many codes gets a partition of its own; smaller ones share, so that partitions stay few."""

SHARED_PARTITION_SERIALS: Final = 1 << 20
BLOCK_SERIALS: Final = 1 << 17
"""A block is this many serials: 4 MB of rows, a fraction of a second of loading, and what a killed worker loses."""

UNFINISHED: Final = (BatchState.QUEUED, BatchState.GENERATING, BatchState.VERIFYING)
LOADED: Final = (BatchState.READY, BatchState.PUBLISHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """A batch as it was asked for. `allotments` are (store_id, count) pairs; or a count for every store there is."""

    campaign_id: str
    allotments: tuple[tuple[str, int], ...] | None
    count_per_store: int | None
    publish: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """A batch as it is stored. Times are UTC; `worker` is the name of the claim that makes it now."""

    number: int
    id: str
    campaign_id: str
    state: BatchState
    count: int
    stores: int
    key_id: str
    key_check: str
    words: str
    first_serial: int
    last_serial: int
    own_partition: bool
    publish_when_ready: bool
    paused: bool
    next_block: int
    generated: int
    loaded: int
    verified: int
    worker: str | None
    claimed_at: datetime | None
    loaded_at_claim: int
    progress_at: datetime | None
    error: str | None
    revision: int
    created_by: str
    created_at: datetime
    started_at: datetime | None
    loaded_at: datetime | None
    ready_at: datetime | None
    published_at: datetime | None

    @property
    def blocks(self) -> int:
        """How many blocks the reserved range has."""
        return -(-(self.last_serial - self.first_serial + 1) // BLOCK_SERIALS)


class AllotmentView(msgspec.Struct, frozen=True, kw_only=True):
    """A store's part of a batch: serials are null until they are loaded."""

    store_id: str
    count: int
    loaded: int
    first_serial: int | None
    last_serial: int | None


class BatchView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A batch as the API shows it."""

    id: str
    campaign_id: str
    state: BatchState
    count: int
    stores: int
    first_serial: int
    last_serial: int
    generated: int
    loaded: int
    verified: int
    rows_per_second: int
    eta_seconds: float | None
    error: str | None
    paused: bool
    key_id: str
    words: str
    created_at: Moment
    ready_at: Moment | None
    published_at: Moment | None
    allotments: tuple[AllotmentView, ...] | msgspec.UnsetType = msgspec.UNSET


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch would take, and what it would do to the odds of a guess."""

    count: int
    stores: int
    seconds: float
    database_bytes: int
    live_codes_after: int
    guesses_per_hit: int
    skipped_share: float


def check_order(order: BatchOrder, known_stores: Sequence[str]) -> list[tuple[str, int]]:
    """The order's allotments as (store_id, count).

    `known_stores`: those of the named ones that are there; all of them for an order that names none.

    Raises Wrong, naming every field that is not right.
    """
    if order.allotments is None:
        if not known_stores:
            raise wrong("stores", "there are no stores yet")
        allotments = [(store_id, order.count_per_store or 0) for store_id in known_stores]
    else:
        _check_stores(order.allotments, frozenset(known_stores))
        allotments = list(order.allotments)
    if len(allotments) > STORES_LIMIT:
        raise wrong("stores" if order.allotments is None else "allotments", f"at most {STORES_LIMIT:,} stores a batch")
    total = sum(count for _, count in allotments)
    if total > CODES_LIMIT:
        field = "count_per_store" if order.allotments is None else "allotments"
        raise wrong(field, f"makes {total:,} codes; at most {CODES_LIMIT:,} a batch")
    return allotments


def serials_needed(count: int, *, skipped_share: float) -> int:
    """A width of range that holds `count` serials which are not skipped, but for a chance below one in a billion.

    Serials skipped among n are binomial; seven standard deviations are added to what is expected.
    """
    expected = count * skipped_share / (1 - skipped_share)
    return count + math.ceil(expected + 7 * math.sqrt(expected + 1)) + 16


def view_of(batch: BatchRow, allotments: Sequence[AllotmentView] | None = None) -> BatchView:
    """What the API shows of a batch."""
    rate = rows_per_second(batch)
    return BatchView(
        id=batch.id,
        campaign_id=batch.campaign_id,
        state=batch.state,
        count=batch.count,
        stores=batch.stores,
        first_serial=batch.first_serial,
        last_serial=batch.last_serial,
        generated=batch.generated,
        loaded=batch.loaded,
        verified=batch.verified,
        rows_per_second=rate,
        eta_seconds=_eta_seconds(batch, rate),
        error=batch.error,
        paused=batch.paused,
        key_id=batch.key_id,
        words=batch.words,
        created_at=batch.created_at,
        ready_at=batch.ready_at,
        published_at=batch.published_at,
        allotments=msgspec.UNSET if allotments is None else tuple(allotments),
    )


def rows_per_second(batch: BatchRow) -> int:
    """Rows loaded a second since the present claim; 0 before the first."""
    if batch.claimed_at is None or batch.progress_at is None:
        return 0
    seconds = ((batch.loaded_at or batch.progress_at) - batch.claimed_at).total_seconds()
    return round((batch.loaded - batch.loaded_at_claim) / seconds) if seconds > 0 else 0


def event_of(batch: BatchRow, allotments: Sequence[Allotment]) -> Batch:
    """The batch's record on its topic. Allotments are sent once they are final."""
    return Batch(
        revision=batch.revision,
        id=batch.id,
        campaign_id=batch.campaign_id,
        state=batch.state,
        key_id=batch.key_id,
        key_check=batch.key_check,
        words=batch.words,
        count=batch.count,
        first_serial=batch.first_serial,
        last_serial=batch.last_serial,
        allotments=tuple(allotments),
        paused=batch.paused,
        published_at=batch.published_at,
    )


def check_transition(state: BatchState, wanted: BatchState) -> bool:
    """Whether a batch in `state` has to change for what was asked; False when it is there already. Raises Conflict."""
    allowed: Mapping[BatchState, tuple[BatchState, ...]] = {
        BatchState.PUBLISHED: (BatchState.READY,),
        BatchState.CANCELLED: (*UNFINISHED, BatchState.FAILED, BatchState.READY),
        BatchState.QUEUED: (BatchState.FAILED,),
    }
    if state is wanted or (wanted is BatchState.QUEUED and state in UNFINISHED):
        return False
    if state not in allowed[wanted]:
        raise Conflict(f"The batch is {state.value}; {_NEEDS[wanted]}")
    return True


_NEEDS: Final = {
    BatchState.PUBLISHED: "only one that is ready can be published",
    BatchState.CANCELLED: "one that is published cannot be cancelled, but its codes can be voided",
    BatchState.QUEUED: "only one that failed can be resumed",
}


def _check_stores(allotments: Sequence[tuple[str, int]], known: frozenset[str]) -> None:
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for place, (store_id, _) in enumerate(allotments):
        if store_id in seen:
            faults.append(Fault(f"allotments.{place}.store_id", f"is the same store as in allotment {seen[store_id]}"))
        elif store_id not in known:
            faults.append(Fault(f"allotments.{place}.store_id", "is not a known store"))
        seen.setdefault(store_id, place)
    if faults:
        raise Wrong(*faults)


def _eta_seconds(batch: BatchRow, rate: int) -> float | None:
    if batch.state not in UNFINISHED or rate == 0:
        return None
    return round((batch.count - batch.loaded) / rate, 1)
