"""Reading the audit log, sealing it in blocks, and checking the chain."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from services.codegen.domain.audit import (
    BEGINNING,
    BLOCK_ENTRIES,
    SEALED_AFTER_SECONDS,
    AuditBlock,
    AuditEntry,
    ChainView,
    block_hash,
)
from services.codegen.store.database import Database, Session

LAST_ID: Final = 2**62
BLOCKS_AT_A_TIME: Final = 100

log = structlog.get_logger(__name__)


class AuditHandlers:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, before: int, limit: int, subject: str | None, actor: str | None) -> Sequence[AuditEntry]:
        """A page, newest first."""
        async with self._database.reading() as session:
            return await session.audit.list_audit(before, limit, subject, actor)

    async def seal(self, *, now: datetime, at_once: bool = False) -> AuditBlock | None:
        """Seals the entries that are due (or all, `at_once`), a block at most.

        The block; None when nothing is due, or entries are being added just now.
        """
        async with self._database.transaction() as session:
            if not await session.audit.hold_audit():
                return None
            last = await session.audit.last_audit_block()
            first_id = last.last_id + 1 if last else 0
            entries = await session.audit.audit_between(first_id, LAST_ID, BLOCK_ENTRIES)
            if not entries or not (at_once or _is_due(entries, now)):
                return None
            previous = last.hash if last else BEGINNING
            number = last.number + 1 if last else 1
            sealed = block_hash(previous, entries)
            await session.audit.insert_audit_block(number, entries, previous_hash=previous, block_hash=sealed)
            block = await session.audit.last_audit_block()
        log.info("audit block sealed", number=number, entries=len(entries), hash=sealed)
        return block

    async def check(self) -> ChainView:
        """Computes the whole chain again from the entries."""
        async with self._database.snapshot() as session:
            return await _check(session)

    async def chain_words(self) -> str:
        """How far the log is sealed, in words."""
        async with self._database.reading() as session:
            last = await session.audit.last_audit_block()
        if last is None:
            return "Nothing is sealed yet; entries are sealed within a minute."
        return f"Sealed up to entry {last.last_id:,}; block {last.number:,} was the last, its hash begins with {last.hash[:16]}"


def _is_due(entries: Sequence[AuditEntry], now: datetime) -> bool:
    return len(entries) >= BLOCK_ENTRIES or (now - entries[0].at).total_seconds() >= SEALED_AFTER_SECONDS


async def _check(session: Session) -> ChainView:
    previous, number, entries, sealed_through = BEGINNING, 0, 0, 0
    while blocks := await session.audit.list_audit_blocks(number, BLOCKS_AT_A_TIME):
        for block in blocks:
            found = await session.audit.audit_between(sealed_through + 1, block.last_id, BLOCK_ENTRIES + 1)
            fits = (block.number, block.previous_hash, block.entries) == (number + 1, previous, len(found))
            if not fits or block_hash(previous, found) != block.hash:
                return _view(number, entries, sealed_through, previous, broken=block.number)
            previous, number, sealed_through = block.hash, block.number, block.last_id
            entries += block.entries
    return _view(number, entries, sealed_through, previous, broken=None)


def _view(blocks: int, entries: int, sealed_through: int, head: str, *, broken: int | None) -> ChainView:
    return ChainView(
        intact=broken is None,
        blocks=blocks,
        entries=entries,
        sealed_through=sealed_through,
        head=head,
        broken_block=broken,
    )
