"""The register of codes, read: pages of serials for exports, single codes for support."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from services.codegen.domain.codes import RedemptionView, VoidOfCode
from services.codegen.store import copy_format
from services.codegen.store.rows import Connection
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCode:
    """A row of the register with its batch, store and campaign."""

    serial: int
    batch_id: str
    batch_state: str
    campaign_id: str
    key_id: str
    words: str
    published_at: datetime | None
    store_id: str
    store_name: str
    starts_at: datetime
    ends_at: datetime
    archived: bool
    campaign_paused: bool
    batch_paused: bool
    store_paused: bool


class Register:
    """Serials and who they were allotted to; no text of a code is here."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def page_of_codes(
        self, after: int, last: int, limit: int, store_number: int | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Serials above `after` up to `last` in order, at most `limit`, and their store numbers."""
        data = bytearray()

        async def take(chunk: bytes) -> None:
            data.extend(chunk)

        statement, arguments = queries.codes_of_batch, [after, last, limit]
        if store_number is not None:
            statement, arguments = queries.codes_of_store, [after, last, limit, store_number]
        await self._connection.copy_from_query(statement.rstrip(";"), *arguments, output=take, format="binary")
        return copy_format.read_codes(data)

    async def find_code(self, serial: int) -> FoundCode | None:
        row = await self._connection.fetchrow(queries.find_code, serial)
        return FoundCode(**row) if row else None

    async def redemptions_of_serial(self, serial: int) -> Sequence[RedemptionView]:
        rows = await self._connection.fetch(queries.redemptions_of_serial, serial)
        return [RedemptionView(**{name: row[name] for name in RedemptionView.__struct_fields__}) for row in rows]

    async def void_of_serial(self, serial: int) -> VoidOfCode | None:
        row = await self._connection.fetchrow(queries.void_of_serial, serial)
        return VoidOfCode(**row) if row else None
