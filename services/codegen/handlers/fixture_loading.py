"""Loading a dump into an empty system: in one transaction, all of it or nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from services.codegen.domain import fixtures as files
from services.codegen.domain.batches import BatchOrder, BatchRow
from services.codegen.domain.campaigns import with_state
from services.codegen.domain.fixtures import BadFixtures, BatchFixture, OrderFixture, SerialsFixture, VoidFixture
from services.codegen.domain.refusals import Conflict, NotYet, Wrong
from services.codegen.handlers.announcing import Announcements, batch_record, campaign_record, store_record, void_record
from services.codegen.handlers.batches import BatchHandlers
from services.codegen.handlers.fixtures import Dump, read_dump
from services.codegen.handlers.making import BlockMaker, CannotMake, MadeBlock
from services.codegen.store import copy_format
from services.codegen.store.batches import AllotmentRow
from services.codegen.store.database import Database, Session
from services.codegen.store.outbox import NewRecord
from shared.codes.decoding import ReservedRanges
from shared.codes.key_ring import KeyRing
from shared.contracts.codegen import Void
from shared.contracts.topics import BATCHES, CAMPAIGNS, STORES, VOIDS

ACTOR: Final = "fixtures"
OUTBOX_RECORDS: Final = 5_000

OnCpu = Callable[[Callable[[], Any]], Awaitable[Any]]


class TopicEnds(Protocol):
    """What is asked of Kafka before a load: whether a topic was ever written to."""

    async def ends(self, topic: str) -> Mapping[int, int]: ...


class FixtureLoading:
    """Loads a dump in one transaction: afterwards all of it is there and on its way to the topics, or nothing is."""

    def __init__(
        self,
        database: Database,
        ring: KeyRing,
        orders: BatchHandlers,
        announcements: Announcements,
        ends: TopicEnds,
        *,
        on_cpu: OnCpu,
    ) -> None:
        self._database = database
        self._ring = ring
        self._orders = orders
        self._announcements = announcements
        self._ends = ends
        self._on_cpu = on_cpu

    def read(self, folder: Path) -> Dump:
        """What the folder holds. Raises BadFixtures for what is not right in itself, and for a key ring that is another."""
        return read_dump(folder, self._ring)

    async def obstacles(self) -> list[str]:
        """What is in the way of a load, in words; nothing in an empty system."""
        async with self._database.reading() as session:
            found = await _rows_in_the_way(session)
        for topic in (CAMPAIGNS, STORES, BATCHES, VOIDS):
            if not found and any(end > 0 for end in (await self._ends.ends(topic.name)).values()):
                found.append(f"records on {topic.name} of a system that was here before")
        return found

    async def load(self, dump: Dump, *, subject: str, on_codes: Callable[[int], None]) -> list[int]:
        """Loads; the ids of the records that tell the other services. `on_codes` hears of every block of codes that was made.

        Raises Conflict when the schema is not empty, BadFixtures when the codes come out otherwise than in the dump.
        """
        now = datetime.now(UTC)
        async with self._database.transaction() as session:
            await session.fixtures.hold_for_loading()
            in_the_way = await _rows_in_the_way(session)
            if in_the_way:
                raise Conflict(f"There are {' and '.join(in_the_way)} here; a dump is loaded into an empty system only")
            await _restore_serials(session, dump.serials)
            for campaign in dump.campaigns:
                await session.fixtures.restore_campaign(campaign)
            await session.stores.insert_stores(dump.stores, now)
            restored = await self._restore_batches(session, dump, on_codes)
            await _restore_voids(session, dump.voids)
            ordered = [await self._order(session, order, now) for order in dump.orders]
            records = await _records(session, dump, [*restored, *ordered], now)
            counts = {"campaigns": len(dump.campaigns), "stores": len(dump.stores), "batches": len(restored) + len(ordered)}
            await session.audit.insert_audit(now, ACTOR, "fixtures.loaded", subject, counts)
            return [
                record_id
                for start in range(0, len(records), OUTBOX_RECORDS)
                for record_id in await session.outbox.insert_outbox(records[start : start + OUTBOX_RECORDS])
            ]

    async def announced(self, ids: Sequence[int]) -> bool:
        """Whether a running codegen has sent the records; without one they wait for it."""
        try:
            await self._announcements.wait(ids)
        except NotYet:
            return False
        return True

    async def _restore_batches(self, session: Session, dump: Dump, on_codes: Callable[[int], None]) -> list[BatchRow]:
        """All ranges first: which serials were skipped depends on those of older keys."""
        numbers = await session.stores.known_stores([store.id for store in dump.stores])
        rows = [
            await session.fixtures.restore_batch(batch, [numbers[allotment.store_id] for allotment in batch.allotments])
            for batch in dump.batches
        ]
        ranges = await session.batches.reserved_ranges()
        stores = {number: store_id for store_id, number in numbers.items()}
        for row, fixture in zip(rows, dump.batches, strict=True):
            if fixture.is_loaded:
                async for block in self._make(session, row, ranges, _RegisterFile(dump.register_of(fixture), stores)):
                    on_codes(block.codes)
                _compare(fixture, await session.batches.list_allotments(row.number))
        return rows

    async def _make(
        self, session: Session, batch: BatchRow, ranges: ReservedRanges, comparing: "_RegisterFile"
    ) -> AsyncIterator[MadeBlock]:
        """Makes the batch's codes; yields each block that is loaded, and ends with the batch in the register."""
        if batch.own_partition:
            await session.loading.create_batch_partition(batch)
        allotments = await session.batches.list_allotments(batch.number)
        maker = BlockMaker(replace(batch, loaded=0, next_block=0), allotments, self._ring, ranges)
        blocks = 0
        while not maker.finished:
            block: MadeBlock = await self._made(batch, maker, blocks)
            await session.loading.copy_codes(batch, _copy_stream(block.rows))
            await session.loading.note_allotments(batch.number, block.notes)
            comparing.take(block)
            yield block
            blocks += 1
        comparing.end()
        await session.fixtures.note_blocks(batch.id, blocks)
        if batch.own_partition:
            await session.loading.key_batch_partition(batch.number)
            await session.loading.attach_batch_partition(batch)

    async def _made(self, batch: BatchRow, maker: BlockMaker, number: int) -> MadeBlock:
        try:
            block: MadeBlock = await self._on_cpu(partial(maker.make, number))
        except CannotMake as error:
            raise BadFixtures(f"batch {batch.id}: {error}") from None
        return block

    async def _order(self, session: Session, order: OrderFixture, now: datetime) -> BatchRow:
        wanted = BatchOrder(
            campaign_id=order.campaign_id,
            allotments=tuple((allotment.store_id, allotment.count) for allotment in order.allotments),
            count_per_store=None,
            publish=order.publish,
        )
        try:
            batch = await self._orders.insert(session, wanted, actor=ACTOR, now=now)
        except Wrong as wrong:
            raise BadFixtures(f"{files.ORDERS_FILE}: {wrong}") from None
        return await session.batches.pause_batch(batch.id, paused=True) if order.paused else batch


class _RegisterFile:
    """A dumped register, compared row by row with what is made; without a file there is nothing to compare."""

    def __init__(self, path: Path | None, stores: Mapping[int, str]) -> None:
        self._file = path.open("rb") if path else None
        self._name = path.name if path else ""
        self._stores = stores
        self._expect(files.REGISTER_HEAD)

    def take(self, block: MadeBlock) -> None:
        if self._file is not None:
            serials, stores = copy_format.written_codes(block.rows)
            names = self._stores
            rows = [f"{serial},{names[store]}\n" for serial, store in zip(serials.tolist(), stores.tolist(), strict=True)]
            self._expect("".join(rows).encode())

    def end(self) -> None:
        if self._file is not None:
            rest = self._file.read(1)
            self._file.close()
            if rest:
                raise BadFixtures(f"{files.REGISTER_FOLDER}/{self._name} has more rows than its batch has codes")

    def _expect(self, text: bytes) -> None:
        if self._file is not None and self._file.read(len(text)) != text:
            raise BadFixtures(f"{files.REGISTER_FOLDER}/{self._name} does not hold what the keys make of its serials")


def _compare(fixture: BatchFixture, made: Sequence[AllotmentRow]) -> None:
    for wanted, found in zip(fixture.allotments, made, strict=True):
        sha256 = found.sha256.hex() if found.sha256 else None
        if (found.first_serial, found.last_serial, sha256) != (wanted.first_serial, wanted.last_serial, wanted.sha256):
            raise BadFixtures(f"batch {fixture.id}: the codes of store {wanted.store_id} come out otherwise than in the dump")


async def _rows_in_the_way(session: Session) -> list[str]:
    counts = await session.fixtures.count_what_is_there()
    return [f"{count:,} {kind}" for kind, count in counts.items() if count]


async def _restore_serials(session: Session, serials: Sequence[SerialsFixture]) -> None:
    await session.batches.hold_serials()
    for stretch in serials:
        if stretch.last_serial is None:
            await session.batches.move_serials(stretch.next_serial)
        else:
            await session.fixtures.restore_shared_partition(stretch)


async def _restore_voids(session: Session, voids: Sequence[VoidFixture]) -> None:
    for void in voids:
        await session.fixtures.restore_void(void)
        for part, ranges in enumerate(void.parts, start=1):
            await session.voids.insert_void_ranges(void.id, part, ranges)


async def _records(session: Session, dump: Dump, batches: Sequence[BatchRow], now: datetime) -> list[NewRecord]:
    records = [campaign_record(with_state(files.campaign_of(campaign), now)) for campaign in dump.campaigns]
    records += [store_record(store) for store in dump.stores]
    records += [await batch_record(session, batch) for batch in batches]
    for void in dump.voids:
        records += [
            void_record(
                Void(
                    revision=part,
                    id=void.id,
                    ranges=ranges,
                    reason=void.reason,
                    voided_by=void.voided_by,
                    voided_at=void.voided_at,
                )
            )
            for part, ranges in enumerate(void.parts, start=1)
        ]
    return records


async def _copy_stream(rows: bytes) -> AsyncIterator[bytes]:
    yield copy_format.HEADER
    yield rows
    yield copy_format.TRAILER
