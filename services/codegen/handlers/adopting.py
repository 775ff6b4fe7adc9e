"""After a back-up was put back: what was made since then is taken from the topics, and the codes are made again.

A code follows from its serial, so the topics hold all that the register needs: ranges, keys, word lists and allotments.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any, Final, Protocol

import msgspec

from services.codegen.domain.batches import LOADED, UNFINISHED, BatchRow
from services.codegen.domain.fixtures import AllotmentFixture, BatchFixture
from services.codegen.domain.refusals import Conflict
from services.codegen.handlers.announcing import announce_batch
from services.codegen.handlers.loading import OnCpu
from services.codegen.handlers.making import BlockMaker, CannotMake, MadeBlock
from services.codegen.store import copy_format
from services.codegen.store.database import Database, Session
from shared.codes.decoding import ReservedRanges
from shared.codes.key_ring import KeyRing
from shared.contracts.codegen import Batch, BatchState, Campaign, Store, Token, Void

ACTOR: Final = "adopt"
NEWEST_FIRST: Final = 2**31 - 1
"""Above every batch's number."""


class Newest(Protocol):
    """Anything with an id and a growing revision."""

    @property
    def id(self) -> str: ...
    @property
    def revision(self) -> int: ...


class OnTopics(msgspec.Struct, frozen=True, kw_only=True):
    """All that codegen's topics hold, in the order of the logs."""

    campaigns: Sequence[Campaign]
    stores: Sequence[Store]
    batches: Sequence[Batch]
    voids: Sequence[Void]
    tokens: Sequence[Token]


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each were older in the tables, or not there; `codes` were made again; `ended`: batches given up."""

    campaigns: int
    stores: int
    batches: int
    codes: int
    voids: int
    tokens: int
    ended: tuple[str, ...]


class Adoption:
    """Brings the tables up to the topics. Running it again changes nothing."""

    def __init__(self, database: Database, ring: KeyRing, *, on_cpu: OnCpu) -> None:
        self._database = database
        self._ring = ring
        self._on_cpu = on_cpu

    async def adopt(self, found: OnTopics) -> Adopted:
        """In one transaction: all of it or nothing.

        Raises Conflict where two batches, of the tables' and the topics', have serials in common.
        """
        now = datetime.now(UTC)
        async with self._database.transaction() as session:
            await session.fixtures.hold_for_loading()
            campaigns = [await session.adopting.adopt_campaign(campaign) for campaign in newest(found.campaigns)]
            stores = await _adopt_stores(session, newest(found.stores), now)
            batches = newest(found.batches)
            next_serial = await session.batches.hold_serials()
            await _refuse_shared_serials(session, batches)
            await session.batches.move_serials(max([next_serial, *(batch.last_serial + 1 for batch in batches)]))
            behind = [batch for batch in batches if await _is_behind(session, batch)]
            codes, ended = await self._adopt_batches(session, behind, now)
            tokens = [await session.adopting.adopt_token(token, ACTOR, now) for token in newest(found.tokens)]
            adopted = Adopted(
                campaigns=sum(campaigns),
                stores=stores,
                batches=len(behind),
                codes=codes,
                voids=await _adopt_voids(session, found.voids),
                tokens=sum(tokens),
                ended=tuple(ended),
            )
            await session.audit.insert_audit(now, ACTOR, "register.adopted", "topics", msgspec.to_builtins(adopted))
            return adopted

    async def _adopt_batches(self, session: Session, batches: Sequence[Batch], now: datetime) -> tuple[int, list[str]]:
        """All ranges first: which serials were skipped depends on those of older keys. Codes made, and batches given up."""
        to_make: list[tuple[Batch, BatchRow]] = []
        ended = []
        for batch in batches:
            kept = await session.batches.lock_batch(batch.id)
            if kept is None:
                row = await _insert(session, batch, now)
                if batch.state in UNFINISHED or batch.state is BatchState.FAILED:
                    await announce_batch(session, row)
                    ended.append(batch.id)
            elif batch.state in LOADED or batch.state is BatchState.CANCELLED:
                if kept.state not in LOADED or batch.state is BatchState.CANCELLED:
                    kept = await session.batches.remove_rows(kept)
                row = await session.adopting.adopt_batch(batch, now)
            else:
                await session.adopting.raise_batch_revision(batch)
                continue
            if batch.state in LOADED and (kept is None or kept.state not in LOADED):
                to_make.append((batch, row))
        ranges = await session.batches.reserved_ranges()
        return sum([await self._make(session, batch, row, ranges) for batch, row in to_make]), ended

    async def _make(self, session: Session, batch: Batch, row: BatchRow, ranges: ReservedRanges) -> int:
        """The batch's codes, into the register."""
        if row.own_partition:
            await session.loading.create_batch_partition(row)
        allotments = await session.batches.list_allotments(row.number)
        try:
            maker = BlockMaker(replace(row, loaded=0, next_block=0), allotments, self._ring, ranges)
            blocks = 0
            while not maker.finished:
                block: MadeBlock = await self._on_cpu(partial(maker.make, blocks))
                await session.loading.copy_codes(row, _copy_stream(block.rows))
                await session.loading.note_allotments(row.number, block.notes)
                blocks += 1
        except CannotMake as error:
            raise Conflict(f"batch {batch.id}: {error}") from None
        await session.fixtures.note_blocks(batch.id, blocks)
        if row.own_partition:
            await session.loading.key_batch_partition(row.number)
            await session.loading.attach_batch_partition(row)
        if list(await session.batches.final_allotments(row.number)) != list(batch.allotments):
            raise Conflict(f"batch {batch.id}: its codes come out otherwise than it was published; is the key ring the same?")
        return row.count


def newest(values: Iterable[Any]) -> list[Any]:
    """Of each id the value with the highest revision, in the order in which the ids came first."""
    found: dict[str, Newest] = {}
    for value in values:
        if value.id not in found or found[value.id].revision < value.revision:
            found[value.id] = value
    return list(found.values())


async def _adopt_stores(session: Session, stores: Sequence[Store], now: datetime) -> int:
    await session.stores.hold_lists()
    kept = await session.stores.lock_stores([store.id for store in stores])
    new = [store for store in stores if store.id not in kept]
    changed = [store for store in stores if store.id in kept and kept[store.id].revision < store.revision]
    await session.stores.insert_stores(new, now)
    await session.stores.update_stores(changed, now)
    return len(new) + len(changed)


async def _adopt_voids(session: Session, voids: Sequence[Void]) -> int:
    """A void's records are added one by one: each has ranges of its own."""
    known = {void_id: set(parts) for void_id, parts in (await session.adopting.known_voids()).items()}
    adopted = set()
    for void in voids:
        parts = known.setdefault(void.id, set())
        if void.revision not in parts:
            await session.adopting.ensure_void(void)
            await session.voids.insert_void_ranges(void.id, void.revision, void.ranges)
            parts.add(void.revision)
            adopted.add(void.id)
    return len(adopted)


async def _is_behind(session: Session, batch: Batch) -> bool:
    kept = await session.batches.find_batch(batch.id)
    return kept is None or kept.revision < batch.revision


async def _refuse_shared_serials(session: Session, batches: Sequence[Batch]) -> None:
    """Two batches of which codes may be out with the same serials: no register can hold both."""
    ranges = {batch.id: (batch.first_serial, batch.last_serial) for batch in batches}
    before = NEWEST_FIRST
    while page := await session.batches.list_batches(before, 1_000, None):
        ranges |= {row.id: (row.first_serial, row.last_serial) for row in page}
        before = page[-1].number
    ordered = sorted((first, last, batch_id) for batch_id, (first, last) in ranges.items())
    for (_, last, one), (first, _, other) in pairwise(ordered):
        if first <= last:
            raise Conflict(
                f"batches {one} and {other} have serials in common: an older codegen was started on tables that were behind. "
                "Nothing was changed. Neither may be sold before it is decided which of the two is to be voided"
            )


async def _insert(session: Session, batch: Batch, now: datetime) -> BatchRow:
    """A batch that is not there. One that was not ready yet is given up: nobody has a code of it, and its order is not told."""
    loaded = batch.state in LOADED
    shared = await session.adopting.shared_partition_of(batch.first_serial)
    if shared is not None:
        moved = max(shared.next_serial, batch.last_serial + 1)
        await session.batches.move_shared_partition(shared.first_serial, moved)
    fixture = BatchFixture(
        id=batch.id,
        campaign_id=batch.campaign_id,
        state=batch.state if loaded else BatchState.CANCELLED,
        count=batch.count,
        key_id=batch.key_id,
        key_check=batch.key_check,
        words=batch.words,
        first_serial=batch.first_serial,
        last_serial=batch.last_serial,
        own_partition=shared is None,
        publish_when_ready=False,
        paused=batch.paused,
        revision=batch.revision if loaded or batch.state is BatchState.CANCELLED else batch.revision + 1,
        error=None,
        created_by=ACTOR,
        created_at=batch.published_at or now,
        started_at=None,
        loaded_at=None,
        ready_at=(batch.published_at or now) if loaded else None,
        published_at=batch.published_at,
        allotments=tuple(AllotmentFixture(store_id=part.store_id, count=part.count) for part in batch.allotments),
    )
    numbers = await session.stores.known_stores([part.store_id for part in batch.allotments])
    return await session.fixtures.restore_batch(fixture, [numbers[part.store_id] for part in batch.allotments])


async def _copy_stream(rows: bytes) -> AsyncIterator[bytes]:
    yield copy_format.HEADER
    yield rows
    yield copy_format.TRAILER
