"""Tokens as rows: hashes, never texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.codegen.domain.tokens import TokenView
from services.codegen.store.rows import Connection, present
from shared.contracts.codegen import Token
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """A token as it is stored."""

    event: Token
    view: TokenView


class Tokens:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert_token(
        self,
        token_id: str,
        name: str,
        sha256: str,
        scopes: Sequence[str],
        expires_at: datetime | None,
        *,
        created_by: str,
        now: datetime,
    ) -> TokenRow:
        row = await self._connection.fetchrow(
            queries.insert_token, token_id, name, sha256, list(scopes), expires_at, created_by, now
        )
        return _token(present(row))

    async def lock_token(self, token_id: str) -> TokenRow | None:
        row = await self._connection.fetchrow(queries.lock_token, token_id)
        return _token(row) if row else None

    async def revoke_token(self, token_id: str, now: datetime) -> TokenRow:
        return _token(present(await self._connection.fetchrow(queries.revoke_token, token_id, now)))

    async def list_tokens(self, after: str, limit: int) -> Sequence[TokenRow]:
        return [_token(row) for row in await self._connection.fetch(queries.list_tokens, after, limit)]

    async def tokens_by_id(self, ids: Sequence[str]) -> Sequence[TokenRow]:
        return [_token(row) for row in await self._connection.fetch(queries.tokens_by_id, list(ids))]

    async def hold_tokens(self) -> None:
        await self._connection.execute(queries.hold_tokens)

    async def has_admin_token(self, now: datetime) -> bool:
        return bool(await self._connection.fetchval(queries.has_admin_token, now))


def _token(row: asyncpg.Record) -> TokenRow:
    event = Token(
        revision=row["revision"],
        id=row["id"],
        sha256=row["sha256"],
        scopes=tuple(row["scopes"]),
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
    view = TokenView(
        id=row["id"],
        name=row["name"],
        scopes=tuple(row["scopes"]),
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        created_by=row["created_by"],
        created_at=row["created_at"],
    )
    return TokenRow(event=event, view=view)
