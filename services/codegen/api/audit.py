"""The audit log."""

from typing import Annotated, Any

import msgspec
from pydantic import Field

from services.codegen.api.answers import ADMIN, PageQuery, before_number, page_of, refusing
from services.codegen.domain.audit import AuditEntry, ChainView
from services.codegen.handlers.audit import AuditHandlers
from shared.web.routes import Call, Route


class AuditQuery(PageQuery):
    subject: Annotated[str | None, Field(max_length=64, description="Only what concerns this id")] = None
    actor: Annotated[str | None, Field(max_length=64, description="Only what this token did")] = None


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[AuditEntry]
    next_cursor: str | None


class AuditRoutes:
    def __init__(self, audit: AuditHandlers) -> None:
        self._audit = audit

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/audit",
                handler=refusing(self.page),
                summary="Every change that an admin made, newest first",
                scopes=ADMIN,
                query=AuditQuery,
                answer=AuditPage,
            ),
            Route(
                method="GET",
                path="/v1/audit/chain",
                handler=refusing(self.chain),
                summary="Computes the chain of hashes over the audit log again: whether any sealed entry was changed",
                scopes=ADMIN,
                answer=ChainView,
            ),
        ]

    async def chain(self, _call: Call[Any, Any]) -> ChainView:
        return await self._audit.check()

    async def page(self, call: Call[AuditQuery, Any]) -> AuditPage:
        query = call.query
        found = await self._audit.page(before_number(query), query.limit + 1, query.subject, query.actor)
        items, cursor = page_of(found, query.limit, lambda entry: str(entry.id))
        return AuditPage(items=list(items), next_cursor=cursor)
