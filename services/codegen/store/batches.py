"""Batches and their allotments as rows; the serials that ranges are reserved from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import asyncpg

from services.codegen.domain.batches import BatchRow
from services.codegen.store.rows import Connection, present
from shared.codes.decoding import ReservedRange, ReservedRanges
from shared.contracts.codegen import Allotment, BatchState
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllotmentRow:
    """A store's part of a batch; serials and hash are None until they are loaded."""

    place: int
    store_id: str
    store_name: str
    store_number: int
    count: int
    first_serial: int | None
    last_serial: int | None
    sha256: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """A batch to be added, with its range."""

    id: str
    campaign_id: str
    count: int
    stores: int
    key_id: str
    key_check: str
    words: str
    first_serial: int
    last_serial: int
    own_partition: bool
    publish_when_ready: bool
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPartition:
    """A stretch of serials that small batches share."""

    first_serial: int
    last_serial: int
    next_serial: int


class Batches:
    """What a batch is and becomes, apart from its loading."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def hold_serials(self) -> int:
        return int(await self._connection.fetchval(queries.hold_serials))

    async def move_serials(self, next_serial: int) -> None:
        await self._connection.execute(queries.move_serials, next_serial)

    async def newest_shared_partition(self) -> SharedPartition | None:
        row = await self._connection.fetchrow(queries.newest_shared_partition)
        return SharedPartition(**row) if row else None

    async def add_shared_partition(self, first_serial: int, last_serial: int) -> SharedPartition:
        await self._connection.execute(queries.insert_shared_partition, first_serial, last_serial)
        await self._connection.execute(queries.create_shared_partition, first_serial, last_serial)
        return SharedPartition(first_serial=first_serial, last_serial=last_serial, next_serial=first_serial)

    async def move_shared_partition(self, first_serial: int, next_serial: int) -> None:
        await self._connection.execute(queries.move_shared_partition, first_serial, next_serial)

    async def claim_idempotency_key(self, key: str) -> bool:
        return bool(await self._connection.fetchval(queries.claim_idempotency_key, key))

    async def find_idempotency_key(self, key: str) -> tuple[bytes, str] | None:
        row = await self._connection.fetchrow(queries.find_idempotency_key, key)
        return (row["request_hash"], row["batch_id"]) if row else None

    async def insert_idempotency_key(self, key: str, request_hash: bytes, batch_id: str, now: datetime) -> None:
        await self._connection.execute(queries.insert_idempotency_key, key, request_hash, batch_id, now)

    async def insert_batch(self, batch: NewBatch, allotments: Sequence[tuple[int, int]]) -> BatchRow:
        """`allotments` are (store number, count), in order."""
        values = (getattr(batch, f.name) for f in fields(NewBatch))
        row = present(await self._connection.fetchrow(queries.insert_batch, *values))
        numbers, counts = [number for number, _ in allotments], [count for _, count in allotments]
        await self._connection.execute(queries.insert_allotments, row["number"], numbers, counts)
        return batch_row(row)

    async def find_batch(self, batch_id: str) -> BatchRow | None:
        row = await self._connection.fetchrow(queries.find_batch, batch_id)
        return batch_row(row) if row else None

    async def ids_of(self, batch_ids: Sequence[str]) -> set[str]:
        """Those of the batches that there are."""
        return {row["id"] for row in await self._connection.fetch(queries.ids_of_batches, batch_ids)}

    async def lock_batch(self, batch_id: str) -> BatchRow | None:
        row = await self._connection.fetchrow(queries.lock_batch, batch_id)
        return batch_row(row) if row else None

    async def list_batches(self, before: int, limit: int, campaign_id: str | None) -> Sequence[BatchRow]:
        return [batch_row(row) for row in await self._connection.fetch(queries.list_batches, before, limit, campaign_id)]

    async def list_allotments(self, batch_number: int) -> Sequence[AllotmentRow]:
        return [AllotmentRow(**row) for row in await self._connection.fetch(queries.list_allotments, batch_number)]

    async def final_allotments(self, batch_number: int) -> Sequence[Allotment]:
        """The allotments as they are published. For a batch that is loaded."""
        return [
            Allotment(store_id=a.store_id, count=a.count, first_serial=a.first_serial, last_serial=a.last_serial)
            for a in await self.list_allotments(batch_number)
            if a.first_serial is not None and a.last_serial is not None
        ]

    async def change_batch_state(
        self, batch_id: str, state: BatchState, error: str | None = None, published_at: datetime | None = None
    ) -> BatchRow:
        row = await self._connection.fetchrow(queries.change_batch_state, batch_id, state.value, error, published_at)
        return batch_row(present(row))

    async def resume_batch(self, batch_id: str) -> BatchRow:
        return batch_row(present(await self._connection.fetchrow(queries.resume_batch, batch_id)))

    async def pause_batch(self, batch_id: str, paused: bool) -> BatchRow:
        return batch_row(present(await self._connection.fetchrow(queries.pause_batch, batch_id, paused)))

    async def remove_rows(self, batch: BatchRow) -> BatchRow:
        """Takes all rows of a batch out of the register."""
        if batch.own_partition:
            await self._connection.execute(queries.drop_batch_partition, batch.number)
        else:
            await self._connection.execute(queries.delete_batch_codes, batch.first_serial, batch.last_serial)
        return batch_row(present(await self._connection.fetchrow(queries.note_rows_removed, batch.id)))

    async def batches_to_sweep(self) -> Sequence[BatchRow]:
        return [batch_row(row) for row in await self._connection.fetch(queries.batches_to_sweep)]

    async def reserved_ranges(self) -> ReservedRanges:
        """Every range that was reserved so far, in serial order."""
        return ReservedRanges(
            ReservedRange(key_id=row["key_id"], first=row["first_serial"], last=row["last_serial"], words=row["words"])
            for row in await self._connection.fetch(queries.reserved_ranges)
        )

    async def keys_in_use(self) -> Mapping[str, set[str]]:
        """Check values by key id; more than one means that something is wrong."""
        found: dict[str, set[str]] = {}
        for row in await self._connection.fetch(queries.keys_in_use):
            found.setdefault(row["key_id"], set()).add(row["key_check"])
        return found

    async def speed_shown(self) -> float | None:
        speed = await self._connection.fetchval(queries.speed_shown)
        return float(speed) if speed else None

    async def live_codes(self, now: datetime) -> int:
        return int(await self._connection.fetchval(queries.live_codes, now))


_FIELDS = tuple(field.name for field in fields(BatchRow))


def batch_row(row: asyncpg.Record) -> BatchRow:
    """A row of `batches` as a value."""
    values = {name: row[name] for name in _FIELDS}
    return BatchRow(**{**values, "state": BatchState(row["state"])})
