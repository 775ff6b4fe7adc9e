"""Ordering batches, and deciding what becomes of them; making them is `loading`'s."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from services.codegen.domain import batches as rules
from services.codegen.domain.batches import AllotmentView, BatchOrder, BatchRow, Plan, check_order, check_transition
from services.codegen.domain.refusals import Conflict, Missing, wrong
from services.codegen.handlers.announcing import Announcements, announce_batch
from services.codegen.handlers.completeness import Completeness
from services.codegen.store.batches import NewBatch
from services.codegen.store.database import Database, Session
from shared.codes.key_ring import KeyRing
from shared.codes.words import share_skipped
from shared.contracts.codegen import BatchState, Campaign
from shared.contracts.topics import BATCHES
from shared.postgres.errors import is_retryable

REMOVE_SECONDS: Final = 25.0
SPEED_BEFORE_ANY: Final = 300_000.0
BYTES_A_CODE: Final = 66
"""A row takes 44 bytes (24 head, 16 data, 4 line pointer) and its key 22: 20 in a leaf nine tenths full."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Minting:
    """What new batches are made with."""

    ring: KeyRing
    words: str
    least_guesses_per_hit: int


class BatchHandlers:
    def __init__(self, database: Database, announcements: Announcements, minting: Minting, completeness: Completeness) -> None:
        self._database = database
        self._announcements = announcements
        self._minting = minting
        self._completeness = completeness

    async def plan(self, order: BatchOrder, *, now: datetime) -> Plan:
        """What the batch would take. Nothing is made. Raises Wrong as `create` would."""
        async with self._database.snapshot() as session:
            await self._campaign_for(session, order, now)
            allotments, _ = await _resolve(session, order)
            plan = await self._plan(session, allotments, now)
        self._refuse_bad_odds(plan)
        return plan

    async def create(
        self, order: BatchOrder, *, idempotency_key: str, request: bytes, actor: str, now: datetime
    ) -> tuple[BatchRow, bool]:
        """Stores the order and reserves its range; a worker makes it. The batch, and whether it is new.

        The same key with the same request gives the batch that it made. Raises Wrong; Conflict while a request with this key
        is being answered.
        """
        request_hash = hashlib.sha256(request).digest()
        async with self._database.transaction() as session:
            if not await session.batches.claim_idempotency_key(idempotency_key):
                raise Conflict("A request with this Idempotency-Key is being answered; try again in a moment")
            known = await _made_before(session, idempotency_key, request_hash)
            if known is not None:
                return known, False
            batch = await self.insert(session, order, actor=actor, now=now)
            await session.batches.insert_idempotency_key(idempotency_key, request_hash, batch.id, now)
            details = {"campaign_id": batch.campaign_id, "count": batch.count, "stores": batch.stores}
            await session.audit.insert_audit(now, actor, "batch.ordered", batch.id, details)
            await announce_batch(session, batch)
        self._announcements.hurry()
        return batch, True

    async def publish(self, batch_id: str, *, actor: str, now: datetime) -> BatchRow:
        """Makes the codes valid; returns when the other services can know. Raises Missing, Conflict, NotYet."""
        return await self._move(batch_id, BatchState.PUBLISHED, actor=actor, now=now)

    async def resume(self, batch_id: str, *, actor: str, now: datetime) -> BatchRow:
        """Queues a failed batch again. Raises Missing, Conflict."""
        return await self._move(batch_id, BatchState.QUEUED, actor=actor, now=now)

    async def cancel(self, batch_id: str, *, actor: str, now: datetime) -> BatchRow:
        """Ends a batch that is not published and takes its rows out of the register. Raises Missing, Conflict."""
        await self._move(batch_id, BatchState.CANCELLED, actor=actor, now=now)
        return await self._remove_rows(batch_id)

    async def pause(self, batch_id: str, paused: bool, *, actor: str, now: datetime) -> BatchRow:
        """Stops or allows the redemption of the batch's codes, everywhere. Raises Missing, Conflict, NotYet."""
        async with self._database.transaction() as session:
            batch = await _lock(session, batch_id)
            if batch.paused == paused:
                ids = await session.outbox.outbox_of_keys(BATCHES.name, [batch_id])
            elif batch.state is BatchState.CANCELLED:
                raise Conflict("The batch is cancelled")
            else:
                batch = await session.batches.pause_batch(batch_id, paused)
                await session.audit.insert_audit(now, actor, "batch.paused" if paused else "batch.unpaused", batch_id, {})
                ids = await announce_batch(session, batch)
        await self._announcements.wait(ids)
        return batch

    async def find(self, batch_id: str) -> BatchRow:
        async with self._database.reading() as session:
            batch = await session.batches.find_batch(batch_id)
        if batch is None:
            raise Missing("batch")
        return batch

    async def allotments(self, batch: BatchRow) -> Sequence[AllotmentView]:
        """The batch's stores in order, with how much of each is loaded."""
        async with self._database.reading() as session:
            rows = await session.batches.list_allotments(batch.number)
        views, before = [], 0
        for row in rows:
            loaded = min(max(batch.loaded - before, 0), row.count)
            before += row.count
            views.append(
                AllotmentView(
                    store_id=row.store_id,
                    count=row.count,
                    loaded=loaded,
                    first_serial=row.first_serial,
                    last_serial=row.last_serial,
                )
            )
        return views

    async def page(self, before: int, limit: int, campaign_id: str | None) -> Sequence[BatchRow]:
        async with self._database.reading() as session:
            return await session.batches.list_batches(before, limit, campaign_id)

    async def sweep(self) -> None:
        """Takes out what cancelled batches left, where the process that cancelled them died, and ends what halted ones hold."""
        await self._database.end_halted()
        async with self._database.reading() as session:
            left = await session.batches.batches_to_sweep()
        for batch in left:
            await self._remove_rows(batch.id)

    async def _move(self, batch_id: str, wanted: BatchState, *, actor: str, now: datetime) -> BatchRow:
        async with self._database.transaction() as session:
            batch = await _lock(session, batch_id)
            if check_transition(batch.state, wanted):
                batch = await _change(session, batch, wanted, now)
                await session.audit.insert_audit(now, actor, f"batch.{_VERBS[wanted]}", batch_id, {})
                ids = await announce_batch(session, batch)
            else:
                ids = await session.outbox.outbox_of_keys(BATCHES.name, [batch_id])
        await self._announcements.wait(ids)
        return batch

    async def _remove_rows(self, batch_id: str) -> BatchRow:
        """The worker notices within a second that its claim has ended, and lets go of the partition."""
        deadline = time.monotonic() + REMOVE_SECONDS
        while True:
            try:
                async with self._database.transaction() as session:
                    return await session.batches.remove_rows(await _lock(session, batch_id))
            except Exception as error:
                if not is_retryable(error) or time.monotonic() > deadline:
                    raise
                log.info("rows of a cancelled batch are still held", batch_id=batch_id, error=type(error).__name__)
                await asyncio.sleep(0.2)

    async def insert(self, session: Session, order: BatchOrder, *, actor: str, now: datetime) -> BatchRow:
        """Stores an order and reserves its range, within a transaction that also announces the batch.

        Raises Wrong, and what `Completeness.assure` does.
        """
        self._completeness.assure()
        campaign = await self._campaign_for(session, order, now)
        allotments, numbers = await _resolve(session, order)
        self._refuse_bad_odds(await self._plan(session, allotments, now))
        count = sum(n for _, n in allotments)
        key = self._minting.ring.newest
        width = rules.serials_needed(count, skipped_share=share_skipped(self._minting.words))
        first, own_partition = await _reserve(session, count, width)
        batch = NewBatch(
            id=f"b-{secrets.token_hex(6)}",
            campaign_id=campaign.id,
            count=count,
            stores=len(allotments),
            key_id=key.id,
            key_check=key.check_value,
            words=self._minting.words,
            first_serial=first,
            last_serial=first + width - 1,
            own_partition=own_partition,
            publish_when_ready=order.publish,
            created_by=actor,
            created_at=now,
        )
        return await session.batches.insert_batch(batch, [(numbers[store_id], n) for store_id, n in allotments])

    async def _campaign_for(self, session: Session, order: BatchOrder, now: datetime) -> Campaign:
        campaign = await session.campaigns.find_campaign(order.campaign_id, now)
        if campaign is None:
            raise wrong("campaign_id", "is not a known campaign")
        if campaign.archived:
            raise wrong("campaign_id", "is an archived campaign")
        return campaign

    async def _plan(self, session: Session, allotments: Sequence[tuple[str, int]], now: datetime) -> Plan:
        count = sum(n for _, n in allotments)
        live = await session.batches.live_codes(now) + count
        speed = await session.batches.speed_shown() or SPEED_BEFORE_ANY
        return Plan(
            count=count,
            stores=len(allotments),
            seconds=round(count / speed, 2),
            database_bytes=count * BYTES_A_CODE,
            live_codes_after=live,
            guesses_per_hit=rules.POSSIBLE_CODES // live,
            skipped_share=share_skipped(self._minting.words),
        )

    def _refuse_bad_odds(self, plan: Plan) -> None:
        least = self._minting.least_guesses_per_hit
        if plan.guesses_per_hit < least:
            found = f"{plan.guesses_per_hit:,} guesses would find a code, and {least:,} are the least allowed here"
            raise wrong("allotments", f"makes {plan.live_codes_after:,} live codes: {found}")


_VERBS: Final[Mapping[BatchState, str]] = {
    BatchState.PUBLISHED: "published",
    BatchState.CANCELLED: "cancelled",
    BatchState.QUEUED: "resumed",
}


async def _change(session: Session, batch: BatchRow, wanted: BatchState, now: datetime) -> BatchRow:
    if wanted is BatchState.QUEUED:
        return await session.batches.resume_batch(batch.id)
    published_at = now if wanted is BatchState.PUBLISHED else None
    return await session.batches.change_batch_state(batch.id, wanted, None, published_at)


async def _lock(session: Session, batch_id: str) -> BatchRow:
    batch = await session.batches.lock_batch(batch_id)
    if batch is None:
        raise Missing("batch")
    return batch


async def _made_before(session: Session, key: str, request_hash: bytes) -> BatchRow | None:
    known = await session.batches.find_idempotency_key(key)
    if known is None:
        return None
    if known[0] != request_hash:
        raise wrong("Idempotency-Key", "was used for another request")
    return await session.batches.find_batch(known[1])


async def _resolve(session: Session, order: BatchOrder) -> tuple[list[tuple[str, int]], Mapping[str, int]]:
    """The order's allotments, and the numbers of their stores by id."""
    if order.allotments is None:
        numbers = await session.stores.all_stores(rules.STORES_LIMIT + 1)
    else:
        numbers = await session.stores.known_stores([store_id for store_id, _ in order.allotments])
    return check_order(order, list(numbers)), numbers


async def _reserve(session: Session, count: int, width: int) -> tuple[int, bool]:
    """The first serial of a range of that width, and whether the batch gets a partition of its own."""
    next_serial = await session.batches.hold_serials()
    if count >= rules.OWN_PARTITION_COUNT:
        await session.batches.move_serials(next_serial + width)
        return next_serial, True
    shared = await session.batches.newest_shared_partition()
    if shared is None or shared.next_serial + width - 1 > shared.last_serial:
        last = next_serial + rules.SHARED_PARTITION_SERIALS - 1
        shared = await session.batches.add_shared_partition(next_serial, last)
        await session.batches.move_serials(last + 1)
    await session.batches.move_shared_partition(shared.first_serial, shared.next_serial + width)
    return shared.next_serial, False
