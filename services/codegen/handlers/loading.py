"""A batch's way into the register: claim, blocks, key, verification, ready, published. Fenced at every step by the claim."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import structlog

from services.codegen.domain.batches import BatchRow
from services.codegen.handlers.announcing import announce_batch
from services.codegen.handlers.making import BlockMaker, CannotMake, MadeBlock
from services.codegen.store import copy_format
from services.codegen.store.batches import AllotmentRow
from services.codegen.store.database import Database
from services.codegen.store.loading import StoreTotals
from shared.codes.key_ring import KeyRing
from shared.contracts.codegen import BatchState
from shared.postgres.errors import is_retryable
from shared.telemetry import metrics

BLOCKS_AHEAD: Final = 2
"""Blocks that are made while one is loaded: both sides stay busy, and memory stays flat."""

COPY_CHUNK_BYTES: Final = 512 * 1024
VERIFY_PAGES: Final = 16_384
"""128 MB of the register, about 2.6 million codes, between two figures of progress."""

HEARTBEAT_SECONDS: Final = 1.0

LOADED: Final = metrics.counter(
    "codegen_codes_loaded_total", "Codes loaded into the register; its rate is the speed of batches"
)
BLOCK: Final = metrics.seconds("codegen_block_load_seconds", "Loading and committing one block of codes")

Result = TypeVar("Result")
OnCpu = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs CPU work away from the event loop, in the one place that the app gives for it."""

log = structlog.get_logger(__name__)


class ClaimLost(Exception):  # noqa: N818 (an everyday ending)
    """The batch was cancelled, or another worker has taken it over. Nothing of it is ours any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A batch that is ours to make, under a random name of this claim."""

    batch: BatchRow
    worker: str


class Loader:
    """Makes batches. Killed at any moment, another goes on from the last block that was loaded, with the same codes."""

    def __init__(
        self, database: Database, ring: KeyRing, *, on_cpu: OnCpu, nudge: Callable[[], None], dead_after_seconds: float
    ) -> None:
        self._database = database
        self._ring = ring
        self._on_cpu = on_cpu
        self._nudge = nudge
        self._dead_after_seconds = dead_after_seconds

    async def claim(self) -> Claim | None:
        """The oldest batch that waits for a worker, now ours; None when there is none."""
        worker = uuid.uuid4().hex
        async with self._database.transaction() as session:
            batch = await session.loading.claim_batch(worker, self._dead_after_seconds, [key.id for key in self._ring.keys])
            if batch is None:
                return None
            await announce_batch(session, batch)
        self._nudge()
        log.info("batch claimed", batch_id=batch.id, state=batch.state.value, loaded=batch.loaded, count=batch.count)
        return Claim(batch=batch, worker=worker)

    async def make(self, claim: Claim) -> None:
        """Takes the batch as far as it goes: ready, published if that was asked for, or failed with its reason.

        Raises ClaimLost, and errors of Postgres that are worth another try.
        """
        try:
            async with asyncio.TaskGroup() as group:
                heart = group.create_task(self._beat(claim), name="heartbeat")
                await self._make(claim)
                heart.cancel()
        except BaseExceptionGroup as errors:
            await self._settle(claim, _first(errors))

    async def note_trouble(self, claim: Claim, reason: str) -> None:
        """Says on the batch why it waits."""
        async with self._database.reading() as session:
            await session.loading.note_batch_trouble(claim.batch.id, claim.worker, reason)

    async def look_again(self, claim: Claim) -> Claim | None:
        """The claim with the batch as it is now; None when it is no longer ours."""
        async with self._database.reading() as session:
            batch = await session.batches.find_batch(claim.batch.id)
        ours = batch is not None and batch.worker == claim.worker
        return Claim(batch=batch, worker=claim.worker) if ours and batch is not None else None

    async def _make(self, claim: Claim) -> None:
        batch = claim.batch
        async with self._database.snapshot() as session:
            allotments = list(await session.batches.list_allotments(batch.number))
        if batch.state is BatchState.GENERATING:
            await self._load(claim, allotments)
            await self._begin_verifying(claim)
        await self._verify(claim)

    async def _load(self, claim: Claim, allotments: list[AllotmentRow]) -> None:
        batch = claim.batch
        async with self._database.transaction() as session:
            if not await session.loading.heartbeat(batch.id, claim.worker):
                raise ClaimLost
            if batch.own_partition:
                await session.loading.create_batch_partition(batch)
            ranges = await session.batches.reserved_ranges()
        maker = BlockMaker(batch, allotments, self._ring, ranges)
        await self._on_cpu(maker.catch_up)
        blocks: asyncio.Queue[MadeBlock | None] = asyncio.Queue(BLOCKS_AHEAD)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._make_blocks(batch, maker, blocks), name="make blocks")
            group.create_task(self._load_blocks(claim, maker, blocks), name="load blocks")

    async def _make_blocks(self, batch: BatchRow, maker: BlockMaker, blocks: asyncio.Queue[MadeBlock | None]) -> None:
        number = batch.next_block
        while not maker.finished:
            block: MadeBlock = await self._on_cpu(lambda n=number: maker.make(n))  # type: ignore[misc]
            await blocks.put(block)
            number += 1
        await blocks.put(None)

    async def _load_blocks(self, claim: Claim, maker: BlockMaker, blocks: asyncio.Queue[MadeBlock | None]) -> None:
        while (block := await blocks.get()) is not None:
            with BLOCK.time():
                await self._load_block(claim, block, generated=maker.made)
            LOADED.inc(block.codes)

    async def _load_block(self, claim: Claim, block: MadeBlock, *, generated: int) -> None:
        batch = claim.batch
        async with self._database.transaction() as session:
            ours = await session.loading.begin_block(
                batch.id, claim.worker, block.number, generated=generated, codes=block.codes
            )
            if not ours:
                raise ClaimLost
            await session.loading.copy_codes(batch, _copy_stream(block.rows))
            await session.loading.note_allotments(batch.number, block.notes)

    async def _begin_verifying(self, claim: Claim) -> None:
        async with self._database.transaction() as session:
            batch = await session.loading.begin_verifying(claim.batch.id, claim.worker)
            if batch is None:
                raise ClaimLost
            await announce_batch(session, batch)
        self._nudge()

    async def _verify(self, claim: Claim) -> None:
        """Builds the key and, meanwhile, counts what the register holds; a batch that is not as ordered never gets ready."""
        batch = claim.batch
        async with asyncio.TaskGroup() as group:
            if batch.own_partition:
                group.create_task(self._build_key(batch), name="build key")
            counting = group.create_task(self._totals(claim), name="count")
        async with self._database.reading() as session:
            allotments = await session.batches.list_allotments(batch.number)
        _compare(batch, allotments, counting.result())
        await self._finish(claim)

    async def _finish(self, claim: Claim) -> None:
        """Ready, and published if that was asked for, in one transaction: no process can die in between."""
        batch = claim.batch
        async with self._database.transaction() as session:
            finished = await session.loading.finish_batch(batch.id, claim.worker, batch.count)
            if finished is None:
                raise ClaimLost
            if batch.own_partition:
                await session.loading.attach_batch_partition(batch)
            await announce_batch(session, finished)
            if batch.publish_when_ready:
                now = datetime.now(UTC)
                published = await session.batches.change_batch_state(batch.id, BatchState.PUBLISHED, None, now)
                await session.audit.insert_audit(now, batch.created_by, "batch.published", batch.id, {"when_ready": True})
                await announce_batch(session, published)
        self._nudge()
        log.info("batch ready", batch_id=batch.id, count=batch.count, published=batch.publish_when_ready)

    async def _build_key(self, batch: BatchRow) -> None:
        async with self._database.reading() as session:
            await session.loading.key_batch_partition(batch.number)

    async def _totals(self, claim: Claim) -> Mapping[int, StoreTotals]:
        batch = claim.batch
        async with self._database.reading() as session:
            if not batch.own_partition:
                return await session.loading.batch_range_totals(batch)
            totals: dict[int, StoreTotals] = {}
            pages = await session.loading.batch_partition_pages(batch.number)
            for page in range(0, pages, VERIFY_PAGES):
                found = await session.loading.batch_partition_totals(batch.number, page, VERIFY_PAGES)
                for store, more in found.items():
                    totals[store] = _sum(totals.get(store), more)
                verified = sum(total.codes for total in totals.values())
                await session.loading.note_verified(batch.id, claim.worker, verified)
        return totals

    async def _beat(self, claim: Claim) -> None:
        """Says that we are alive; ends everything as soon as the claim is not ours any more."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                async with self._database.reading() as session:
                    ours = await session.loading.heartbeat(claim.batch.id, claim.worker)
            except Exception as error:
                if not is_retryable(error):
                    raise
                continue
            if not ours and await self.look_again(claim) is None:
                raise ClaimLost

    async def _settle(self, claim: Claim, error: BaseException) -> None:
        """Decides what an error means for the batch: lost, to be tried again, or failed."""
        if isinstance(error, ClaimLost) or is_retryable(error) or not isinstance(error, Exception):
            raise error
        if await self.look_again(claim) is None:
            raise ClaimLost from error
        reason = str(error) if isinstance(error, CannotMake) else f"{type(error).__name__}: {error}"
        log.error("batch failed", batch_id=claim.batch.id, reason=reason, exc_info=error)
        async with self._database.transaction() as session:
            failed = await session.loading.fail_batch(claim.batch.id, claim.worker, reason[:1_000])
            if failed is not None:
                await announce_batch(session, failed)
        self._nudge()


async def _copy_stream(rows: bytes) -> AsyncIterator[bytes]:
    view = memoryview(rows)
    yield copy_format.HEADER
    for start in range(0, len(view), COPY_CHUNK_BYTES):
        yield view[start : start + COPY_CHUNK_BYTES]  # type: ignore[misc]
    yield copy_format.TRAILER


def _sum(one: StoreTotals | None, other: StoreTotals) -> StoreTotals:
    if one is None:
        return other
    return StoreTotals(
        codes=one.codes + other.codes,
        first_serial=min(one.first_serial, other.first_serial),
        last_serial=max(one.last_serial, other.last_serial),
    )


def _compare(batch: BatchRow, allotments: Any, totals: Mapping[int, StoreTotals]) -> None:
    """Count, totals and serials of every store in the register against the order. Raises CannotMake."""
    found = sum(total.codes for total in totals.values())
    if found != batch.count:
        raise CannotMake(f"the register holds {found:,} codes of the batch instead of {batch.count:,}")
    for allotment in allotments:
        wanted = StoreTotals(codes=allotment.count, first_serial=allotment.first_serial, last_serial=allotment.last_serial)
        if totals.get(allotment.store_number) != wanted or allotment.sha256 is None:
            raise CannotMake(f"the register's codes of store {allotment.store_id} are not as ordered")


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that decides: a lost claim before all others."""
    leaves: list[BaseException] = []
    for error in errors.exceptions:
        leaves += [_first(error)] if isinstance(error, BaseExceptionGroup) else [error]
    return next((error for error in leaves if isinstance(error, ClaimLost)), leaves[0])
