"""Voids: what one would reach, and making one."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.codegen.domain.refusals import Conflict, wrong
from services.codegen.domain.voids import Reach, Stretch, VoidPreview, VoidTarget, VoidView, cut_around, joined, parts_of
from services.codegen.handlers.announcing import Announcements, void_record
from services.codegen.store.database import Database, Session
from services.codegen.store.voids import StoredVoid
from shared.contracts.codegen import BatchState, Void, VoidRange

MarksCurrent = Callable[[], Awaitable[datetime]]
"""Waits until the register is marked up to the outcomes' ends of now, and says as of when."""


class VoidHandlers:
    def __init__(self, database: Database, announcements: Announcements, *, marks_current: MarksCurrent) -> None:
        self._database = database
        self._announcements = announcements
        self._marks_current = marks_current

    async def preview(self, target: VoidTarget) -> VoidPreview:
        """What a void of the target would reach now. Raises Wrong, Conflict."""
        as_of = await self._marks_current()
        async with self._database.snapshot() as session:
            reach = await _reach(session, target, as_of)
        return VoidPreview(outstanding=reach.outstanding, redeemed=reach.redeemed, already_void=reach.already_void, as_of=as_of)

    async def create(
        self, target: VoidTarget, described: dict[str, Any], *, confirmed: int, reason: str, actor: str, now: datetime
    ) -> VoidView:
        """Makes what is outstanding of the target void; the other services know when it returns.

        Raises Conflict when the count is not the one that was confirmed, and as `preview` does.
        """
        await self._marks_current()
        void_id = f"v-{secrets.token_hex(6)}"
        async with self._database.transaction() as session:
            await session.voids.hold_voids()
            reach = await _reach(session, target, now)
            if reach.outstanding != confirmed:
                raise Conflict(f"{reach.outstanding:,} codes are outstanding now, not {confirmed:,}; preview it again")
            if not reach.outstanding:
                raise Conflict("No code is outstanding; there is nothing to make void")
            await session.voids.insert_void(void_id, reason, described, reach.outstanding, voided_by=actor, now=now)
            ids = await _insert_parts(session, void_id, reach.ranges, reason=reason, actor=actor, now=now)
            details = {"outstanding": reach.outstanding, "reason": reason, **described}
            await session.audit.insert_audit(now, actor, "void.created", void_id, details)
        await self._announcements.wait(ids)
        return VoidView(
            id=void_id,
            outstanding=reach.outstanding,
            redeemed=reach.redeemed,
            already_void=reach.already_void,
            reason=reason,
            voided_by=actor,
            voided_at=now,
        )

    async def latest(self, limit: int) -> Sequence[StoredVoid]:
        async with self._database.reading() as session:
            return await session.voids.latest_voids(limit)

    async def page(self, after: str, limit: int) -> Sequence[StoredVoid]:
        async with self._database.reading() as session:
            return await session.voids.list_voids(after, limit)


async def _insert_parts(
    session: Session, void_id: str, ranges: Sequence[VoidRange], *, reason: str, actor: str, now: datetime
) -> list[int]:
    records = []
    for part, piece in enumerate(parts_of(ranges), start=1):
        await session.voids.insert_void_ranges(void_id, part, piece)
        records.append(
            void_record(Void(revision=part, id=void_id, ranges=piece, reason=reason, voided_by=actor, voided_at=now))
        )
    return await session.outbox.insert_outbox(records)


async def _reach(session: Session, target: VoidTarget, now: datetime) -> Reach:
    await _refuse_unknown(session, target, now)
    stretches = await session.voids.stretches_of(target)
    if target.serials is not None and len(stretches) != len(set(target.serials)):
        raise wrong("codes", "some of them were never issued")
    redeemed = await session.voids.redeemed_within(stretches)
    void = await session.voids.void_within(stretches)
    taken = sorted([(serial, serial) for serial in redeemed] + [(first, last) for first, last, _ in void])
    left = list(joined(cut_around(stretches, taken)))
    counted = await _counted(session, left)
    return Reach(
        ranges=tuple(
            VoidRange(first=s.first, last=s.last, batch_id=s.batch_id, store_id=s.store_id, codes=s.codes)
            for s in counted
            if s.codes
        ),
        redeemed=len(redeemed),
        already_void=await _count_void(session, void),
    )


async def _refuse_unknown(session: Session, target: VoidTarget, now: datetime) -> None:
    if target.campaign_id is not None and await session.campaigns.find_campaign(target.campaign_id, now) is None:
        raise wrong("campaign_id", "is not a known campaign")
    if target.store_id is not None and not await session.stores.known_stores([target.store_id]):
        raise wrong("store_id", "is not a known store")
    if target.batch_id is None:
        return
    batch = await session.batches.find_batch(target.batch_id)
    if batch is None:
        raise wrong("batch_id", "is not a known batch")
    if batch.state not in (BatchState.READY, BatchState.PUBLISHED):
        raise Conflict(f"The batch is {batch.state.value}; only codes that are ready or published can be made void")


async def _counted(session: Session, stretches: Sequence[Stretch]) -> list[Stretch]:
    open_places = [place for place, stretch in enumerate(stretches) if stretch.codes is None]
    counts = await session.voids.count_codes([(stretches[p].first, stretches[p].last) for p in open_places])
    known = dict(zip(open_places, counts, strict=True))
    return [replace(stretch, codes=known.get(place, stretch.codes)) for place, stretch in enumerate(stretches)]


async def _count_void(session: Session, pieces: Sequence[tuple[int, int, int | None]]) -> int:
    open_pieces = [(first, last) for first, last, codes in pieces if codes is None]
    return sum(codes or 0 for *_, codes in pieces) + sum(await session.voids.count_codes(open_pieces))
