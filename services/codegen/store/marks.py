"""What the outcomes topic says of codes, with place and mark (rule 16)."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.codegen.store.rows import Connection, present
from shared.contracts.redemption import Source
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


class Marks:
    """Redeemed codes, and how far each partition was read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find_place(self, partition: int) -> int:
        """Where to read on from; the beginning for a partition that was never read."""
        return await self._connection.fetchval(queries.find_place, partition) or 0

    async def lock_place(self, partition: int) -> tuple[int, Source | None]:
        """Place and mark, held until the transaction ends."""
        await self._connection.execute(queries.ensure_place, partition)
        row = present(await self._connection.fetchrow(queries.lock_place, partition))
        mark = (
            None
            if row["mark_offset"] is None
            else Source(epoch=row["mark_epoch"], partition=partition, offset=row["mark_offset"])
        )
        return row["position"], mark

    async def move_place(self, partition: int, position: int, mark: Source | None) -> None:
        epoch, offset = (mark.epoch, mark.offset) if mark else (None, None)
        await self._connection.execute(queries.move_place, partition, position, epoch, offset)

    async def list_places(self) -> Mapping[int, int]:
        """Positions by partition."""
        return {row["partition"]: row["position"] for row in await self._connection.fetch(queries.list_places)}

    async def fold_redemptions(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            await self._connection.execute(queries.fold_redemptions, list(rows))

    async def fold_reversals(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            await self._connection.execute(queries.fold_reversals, list(rows))

    async def forget_marks(self) -> None:
        await self._connection.execute(queries.forget_marks)
