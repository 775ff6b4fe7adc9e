"""The audit log: only ever added to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.codegen.store.rows import Connection
from shared.contracts.game_platforms import Moment
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an admin did. `actor` is a token's id."""

    id: int
    at: Moment
    actor: str
    action: str
    subject: str
    details: dict[str, Any]


class AuditLog:
    """Adding to the log, in the transaction of what it tells."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert_audit(self, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, Any]) -> None:
        await self._connection.execute(queries.insert_audit, at, actor, action, subject, dict(details))

    async def list_audit(self, before: int, limit: int, subject: str | None, actor: str | None) -> Sequence[AuditEntry]:
        rows = await self._connection.fetch(queries.list_audit, before, limit, subject, actor)
        return [AuditEntry(**row) for row in rows]
