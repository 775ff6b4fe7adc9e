"""Stores as rows, a list at a time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from services.codegen.store.rows import Connection
from shared.contracts.codegen import Store
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


class Stores:
    """Stores by id; `number` stands for one in the register."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def hold_lists(self) -> None:
        await self._connection.execute(queries.hold_lists)

    async def lock_stores(self, ids: Sequence[str]) -> Mapping[str, Store]:
        rows = await self._connection.fetch(queries.lock_stores, list(ids))
        return {row["id"]: _store(row) for row in rows}

    async def insert_stores(self, stores: Sequence[Store], now: datetime) -> None:
        await self._connection.execute(queries.insert_stores, _rows(stores), now)

    async def update_stores(self, stores: Sequence[Store], now: datetime) -> None:
        await self._connection.execute(queries.update_stores, _rows(stores), now)

    async def list_stores(self, after: str, limit: int) -> Sequence[Store]:
        return [_store(row) for row in await self._connection.fetch(queries.list_stores, after, limit)]

    async def find_stores(self, text: str, after: str, limit: int) -> Sequence[Store]:
        return [_store(row) for row in await self._connection.fetch(queries.find_stores, after, limit, text)]

    async def stores_by_id(self, ids: Sequence[str]) -> Sequence[Store]:
        return [_store(row) for row in await self._connection.fetch(queries.stores_by_id, list(ids))]

    async def count_stores(self) -> int:
        return int(await self._connection.fetchval(queries.count_stores))

    async def known_stores(self, ids: Sequence[str]) -> Mapping[str, int]:
        """Numbers by id."""
        return {row["id"]: row["number"] for row in await self._connection.fetch(queries.known_stores, list(ids))}

    async def all_stores(self, limit: int) -> Mapping[str, int]:
        """Numbers by id, in id order."""
        return {row["id"]: row["number"] for row in await self._connection.fetch(queries.all_stores, limit)}


def _rows(stores: Sequence[Store]) -> list[dict[str, Any]]:
    return [{"place": place, **msgspec.structs.asdict(store)} for place, store in enumerate(stores)]


def _store(row: asyncpg.Record) -> Store:
    return Store(**{name: row[name] for name in Store.__struct_fields__})
