"""Reading the audit log."""

from collections.abc import Sequence

from services.codegen.store.audit import AuditEntry
from services.codegen.store.database import Database


class AuditHandlers:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, before: int, limit: int, subject: str | None, actor: str | None) -> Sequence[AuditEntry]:
        """A page, newest first."""
        async with self._database.reading() as session:
            return await session.audit.list_audit(before, limit, subject, actor)
