"""What a worker does to its batch: claims it, loads blocks, keys and verifies. Nothing happens once the claim has ended."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from services.codegen.domain.batches import BatchRow
from services.codegen.store.batches import batch_row
from services.codegen.store.rows import Connection
from shared.contracts.topics import BATCHES
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTotals:
    """What the register holds of a store in a batch."""

    codes: int
    first_serial: int
    last_serial: int


class Loading:
    """A batch's way into the register. `worker` is the claim's name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def claim_batch(self, worker: str, dead_after_seconds: float, key_ids: Sequence[str]) -> BatchRow | None:
        row = await self._connection.fetchrow(queries.claim_batch, worker, dead_after_seconds, BATCHES.name, list(key_ids))
        return batch_row(row) if row else None

    async def heartbeat(self, batch_id: str, worker: str) -> bool:
        """Whether the claim still holds."""
        return await self._connection.fetchval(queries.heartbeat, batch_id, worker) is not None

    async def note_batch_trouble(self, batch_id: str, worker: str, reason: str | None) -> None:
        await self._connection.execute(queries.note_batch_trouble, batch_id, worker, reason)

    async def create_batch_partition(self, batch: BatchRow) -> None:
        await self._connection.execute(queries.create_batch_partition, batch.number, batch.first_serial, batch.last_serial)

    async def begin_block(self, batch_id: str, worker: str, block: int, *, generated: int, codes: int) -> bool:
        """Whether the block is this claim's to load, in this transaction."""
        return await self._connection.fetchval(queries.begin_block, batch_id, worker, block, generated, codes) is not None

    async def copy_codes(self, batch: BatchRow, rows: AsyncIterator[bytes]) -> None:
        """Loads binary COPY data into the batch's own partition, or into the register where it shares one."""
        table = f"codes_batch_{batch.number}" if batch.own_partition else "codes"
        await self._connection.copy_to_table(
            table, source=rows, columns=("serial", "batch_number", "store_number"), format="binary"
        )

    async def note_allotments(self, batch_number: int, notes: Sequence[Mapping[str, Any]]) -> None:
        await self._connection.execute(queries.note_allotments, batch_number, list(notes))

    async def begin_verifying(self, batch_id: str, worker: str) -> BatchRow | None:
        row = await self._connection.fetchrow(queries.begin_verifying, batch_id, worker)
        return batch_row(row) if row else None

    async def note_verified(self, batch_id: str, worker: str, verified: int) -> None:
        await self._connection.execute(queries.note_verified, batch_id, worker, verified)

    async def key_batch_partition(self, batch_number: int) -> None:
        await self._connection.execute(queries.key_batch_partition, batch_number)

    async def batch_partition_pages(self, batch_number: int) -> int:
        return int(await self._connection.fetchval(queries.batch_partition_pages, batch_number))

    async def batch_partition_totals(self, batch_number: int, first_page: int, pages: int) -> Mapping[int, StoreTotals]:
        return _totals(await self._connection.fetch(queries.batch_partition_totals, batch_number, first_page, pages))

    async def batch_range_totals(self, batch: BatchRow) -> Mapping[int, StoreTotals]:
        return _totals(
            await self._connection.fetch(queries.batch_range_totals, batch.number, batch.first_serial, batch.last_serial)
        )

    async def attach_batch_partition(self, batch: BatchRow) -> None:
        await self._connection.execute(queries.attach_batch_partition, batch.number, batch.first_serial, batch.last_serial)

    async def finish_batch(self, batch_id: str, worker: str, verified: int) -> BatchRow | None:
        row = await self._connection.fetchrow(queries.finish_batch, batch_id, worker, verified)
        return batch_row(row) if row else None

    async def fail_batch(self, batch_id: str, worker: str, reason: str) -> BatchRow | None:
        row = await self._connection.fetchrow(queries.fail_batch, batch_id, worker, reason)
        return batch_row(row) if row else None


def _totals(rows: Sequence[asyncpg.Record]) -> Mapping[int, StoreTotals]:
    """By store number."""
    return {
        row["store_number"]: StoreTotals(codes=row["codes"], first_serial=row["first_serial"], last_serial=row["last_serial"])
        for row in rows
    }
