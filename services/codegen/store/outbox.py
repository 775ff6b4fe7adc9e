"""Records that wait to be sent; what the topics should hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.codegen.store.rows import Connection, present
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecord:
    """A record for a topic. `event` is its CloudEvents type."""

    topic: str
    key: str
    event: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRecord(NewRecord):
    """A record in the outbox."""

    id: int
    made_at: datetime


class Outbox:
    """Filled in the transaction of what the records tell (rule 21)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert_outbox(self, records: Sequence[NewRecord]) -> list[int]:
        """The ids, in order."""
        if not records:
            return []
        columns = ([r.topic for r in records], [r.key for r in records], [r.event for r in records], [r.value for r in records])
        ids: list[int] = await self._connection.fetchval(queries.insert_outbox, *columns)
        return ids

    async def outbox_waiting(self, ids: Sequence[int]) -> int:
        return int(await self._connection.fetchval(queries.outbox_waiting, list(ids)))

    async def outbox_of_topic(self, topic: str) -> list[int]:
        return [row["id"] for row in await self._connection.fetch(queries.outbox_of_topic, topic)]

    async def outbox_of_keys(self, topic: str, keys: Sequence[str]) -> list[int]:
        return [row["id"] for row in await self._connection.fetch(queries.outbox_of_keys, topic, list(keys))]

    async def outbox_head(self, limit: int) -> Sequence[WaitingRecord]:
        return [WaitingRecord(**row) for row in await self._connection.fetch(queries.outbox_head, limit)]

    async def outbox_state(self) -> tuple[int, float]:
        """How many records wait, and the age of the oldest in seconds."""
        row = present(await self._connection.fetchrow(queries.outbox_state))
        return row["records"], row["oldest_seconds"]

    async def delete_outbox(self, ids: Sequence[int]) -> None:
        await self._connection.execute(queries.delete_outbox, list(ids))

    async def hold_relay_lease(self, holder: str, seconds: float) -> bool:
        """Whether the holder may send, for that long from now."""
        return await self._connection.fetchval(queries.hold_relay_lease, holder, seconds) is not None

    async def end_relay_lease(self, holder: str) -> None:
        await self._connection.execute(queries.end_relay_lease, holder)

    async def current_revisions(self) -> Sequence[tuple[str, str, int]]:
        """(topic, key, revision) of everything that the topics should hold."""
        return [tuple(row) for row in await self._connection.fetch(queries.current_revisions)]
