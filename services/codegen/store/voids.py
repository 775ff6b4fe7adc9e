"""Voids and the serials that they reach."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.codegen.domain.voids import Stretch, VoidTarget
from services.codegen.store.rows import Connection
from shared.contracts.codegen import Void, VoidRange
from shared.contracts.game_platforms import Moment
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


class StoredVoid(msgspec.Struct, frozen=True, kw_only=True):
    """A void as it was made. `outstanding`: how many codes it stopped."""

    id: str
    reason: str
    target: dict[str, Any]
    outstanding: int
    voided_by: str
    voided_at: Moment


class Voids:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def hold_voids(self) -> None:
        await self._connection.execute(queries.hold_voids)

    async def stretches_of(self, target: VoidTarget) -> Sequence[Stretch]:
        """The issued stretches that a target names, ascending."""
        if target.batch_id is not None:
            rows = await self._connection.fetch(queries.stretches_of_batch, target.batch_id)
        elif target.store_id is not None:
            rows = await self._connection.fetch(queries.stretches_of_store, target.campaign_id, target.store_id)
        elif target.serials is not None:
            rows = await self._connection.fetch(queries.stretches_of_serials, list(target.serials))
        else:
            rows = await self._connection.fetch(queries.stretches_of_range, target.first_serial, target.last_serial)
        return [
            Stretch(
                first=row["first_serial"],
                last=row["last_serial"],
                batch_id=row["batch_id"],
                store_id=row["store_id"],
                codes=row["count"],
            )
            for row in rows
        ]

    async def redeemed_within(self, stretches: Sequence[Stretch]) -> Sequence[int]:
        rows = await self._connection.fetch(queries.redeemed_within, *_ends(stretches))
        return [row["serial"] for row in rows]

    async def void_within(self, stretches: Sequence[Stretch]) -> Sequence[tuple[int, int, int | None]]:
        """(first, last, codes) of void pieces; codes None where a piece is not a whole range."""
        return [tuple(row) for row in await self._connection.fetch(queries.void_within, *_ends(stretches))]

    async def count_codes(self, ranges: Sequence[tuple[int, int]]) -> Sequence[int]:
        """How many serials were issued in each of the ranges."""
        if not ranges:
            return []
        firsts, lasts = [first for first, _ in ranges], [last for _, last in ranges]
        return [row["codes"] for row in await self._connection.fetch(queries.count_codes, firsts, lasts)]

    async def insert_void(
        self, void_id: str, reason: str, target: Mapping[str, Any], outstanding: int, *, voided_by: str, now: datetime
    ) -> None:
        await self._connection.execute(queries.insert_void, void_id, reason, dict(target), outstanding, voided_by, now)

    async def insert_void_ranges(self, void_id: str, part: int, ranges: Sequence[VoidRange]) -> None:
        rows = [msgspec.structs.asdict(found) for found in ranges]
        await self._connection.execute(queries.insert_void_ranges, void_id, part, rows)

    async def list_voids(self, after: str, limit: int) -> Sequence[StoredVoid]:
        return [StoredVoid(**row) for row in await self._connection.fetch(queries.list_voids, after, limit)]

    async def latest_voids(self, limit: int) -> Sequence[StoredVoid]:
        return [StoredVoid(**row) for row in await self._connection.fetch(queries.latest_voids, limit)]

    async def parts_after(self, void_id: str, part: int) -> Sequence[Void]:
        """The void's records above a part, in order."""
        found: dict[int, list[VoidRange]] = {}
        rows = await self._connection.fetch(queries.ranges_of_void, void_id, part)
        for row in rows:
            piece = VoidRange(
                first=row["first_serial"],
                last=row["last_serial"],
                batch_id=row["batch_id"],
                store_id=row["store_id"],
                codes=row["codes"],
            )
            found.setdefault(row["part"], []).append(piece)
        return [
            Void(
                revision=number,
                id=void_id,
                ranges=tuple(ranges),
                reason=rows[0]["reason"],
                voided_by=rows[0]["voided_by"],
                voided_at=rows[0]["voided_at"],
            )
            for number, ranges in found.items()
        ]


def _ends(stretches: Sequence[Stretch]) -> tuple[list[int], list[int]]:
    return [stretch.first for stretch in stretches], [stretch.last for stretch in stretches]
