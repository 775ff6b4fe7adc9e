"""Making and ending tokens. A token's text leaves this module once, in the answer that made it."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from services.codegen.domain.refusals import Conflict, Fault, Missing, Wrong, name_fault
from services.codegen.domain.tokens import NewTokenView, TokenView, scope_faults
from services.codegen.handlers.announcing import Announcements, token_record
from services.codegen.store.database import Database, Session
from shared.contracts.topics import TOKENS
from shared.web.tokens import hash_token

FIRST_TOKEN_SCOPES = ("admin", "ops")


class TokenHandlers:
    def __init__(self, database: Database, announcements: Announcements) -> None:
        self._database = database
        self._announcements = announcements

    async def create(
        self, name: str, scopes: Sequence[str], expires_at: datetime | None, *, actor: str, now: datetime
    ) -> NewTokenView:
        """A new token with its text, known to the other services when it returns. Raises Wrong."""
        _check(name, scopes, expires_at, now)
        async with self._database.transaction() as session:
            made, ids = await _insert(session, name, scopes, expires_at, actor=actor, now=now)
        await self._announcements.wait(ids)
        return made

    async def revoke(self, token_id: str, *, actor: str, now: datetime) -> None:
        """Ends a token; the other services know when it returns. Ending it again changes nothing. Raises Missing."""
        async with self._database.transaction() as session:
            token = await session.tokens.lock_token(token_id)
            if token is None:
                raise Missing("token")
            if token.view.revoked_at is not None:
                ids = await session.outbox.outbox_of_keys(TOKENS.name, [token_id])
            else:
                token = await session.tokens.revoke_token(token_id, now)
                await session.audit.insert_audit(now, actor, "token.revoked", token_id, {"name": token.view.name})
                ids = await session.outbox.insert_outbox([token_record(token.event)])
        await self._announcements.wait(ids)

    async def page(self, after: str, limit: int) -> Sequence[TokenView]:
        async with self._database.reading() as session:
            return [row.view for row in await session.tokens.list_tokens(after, limit)]

    async def names(self, ids: Collection[str]) -> Mapping[str, str]:
        """The names of tokens by their ids; actors that are no tokens are left out."""
        async with self._database.reading() as session:
            return {row.view.id: row.view.name for row in await session.tokens.tokens_by_id(sorted(ids))}


async def bootstrap(database: Database, *, now: datetime) -> NewTokenView:
    """The first token, which may administer and operate. It is sent when a codegen runs. Raises Conflict when there is one."""
    async with database.transaction() as session:
        await session.tokens.hold_tokens()
        if await session.tokens.has_admin_token(now):
            raise Conflict("There is a token that can administer already; make others with it")
        made, _ = await _insert(session, "first admin", FIRST_TOKEN_SCOPES, None, actor="bootstrap", now=now)
        return made


def _check(name: str, scopes: Sequence[str], expires_at: datetime | None, now: datetime) -> None:
    faults = scope_faults(scopes)
    message = name_fault(name)
    if message:
        faults.append(Fault("name", message))
    if expires_at is not None and expires_at <= now:
        faults.append(Fault("expires_at", "is in the past"))
    if faults:
        raise Wrong(*faults)


async def _insert(
    session: Session, name: str, scopes: Sequence[str], expires_at: datetime | None, *, actor: str, now: datetime
) -> tuple[NewTokenView, list[int]]:
    token_id = f"t-{secrets.token_hex(5)}"
    text = f"cf_{token_id[2:]}_{secrets.token_urlsafe(32)}"
    row = await session.tokens.insert_token(token_id, name, hash_token(text), scopes, expires_at, created_by=actor, now=now)
    await session.audit.insert_audit(now, actor, "token.created", token_id, {"name": name, "scopes": list(scopes)})
    ids = await session.outbox.insert_outbox([token_record(row.event)])
    return NewTokenView(token=text, **msgspec.structs.asdict(row.view)), ids
