"""The audit log and the blocks that seal it: only ever added to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.codegen.domain.audit import AuditBlock, AuditEntry
from services.codegen.store.rows import Connection
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


class AuditLog:
    """Adding to the log, in the transaction of what it tells; sealing it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert_audit(self, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, Any]) -> None:
        await self._connection.execute(queries.let_audit_grow)
        await self._connection.execute(queries.insert_audit, at, actor, action, subject, dict(details))

    async def list_audit(self, before: int, limit: int, subject: str | None, actor: str | None) -> Sequence[AuditEntry]:
        rows = await self._connection.fetch(queries.list_audit, before, limit, subject, actor)
        return [AuditEntry(**row) for row in rows]

    async def hold_audit(self) -> bool:
        """Whether every entry that has an id is committed; if so, others are held up until the transaction ends."""
        return bool(await self._connection.fetchval(queries.hold_audit))

    async def audit_between(self, first_id: int, last_id: int, limit: int) -> Sequence[AuditEntry]:
        rows = await self._connection.fetch(queries.audit_between, first_id, last_id, limit)
        return [AuditEntry(**row) for row in rows]

    async def last_audit_block(self) -> AuditBlock | None:
        row = await self._connection.fetchrow(queries.last_audit_block)
        return AuditBlock(**row) if row else None

    async def list_audit_blocks(self, after: int, limit: int) -> Sequence[AuditBlock]:
        return [AuditBlock(**row) for row in await self._connection.fetch(queries.list_audit_blocks, after, limit)]

    async def insert_audit_block(
        self, number: int, entries: Sequence[AuditEntry], *, previous_hash: str, block_hash: str
    ) -> None:
        await self._connection.execute(
            queries.insert_audit_block, number, entries[0].id, entries[-1].id, len(entries), previous_hash, block_hash
        )
