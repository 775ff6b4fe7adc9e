"""The hash chain over the audit log: what a block's hash is made of."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from shared.contracts.codec import format_time
from shared.contracts.game_platforms import Moment

BLOCK_ENTRIES: Final = 1_000
SEALED_AFTER_SECONDS: Final = 60.0
"""Entries are sealed when there are a block of them, or when the oldest has waited for so long."""

BEGINNING: Final = "0" * 64


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an admin did. `actor` is a token's id."""

    id: int
    at: Moment
    actor: str
    action: str
    subject: str
    details: dict[str, Any]


class AuditBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Entries `first_id` to `last_id`, sealed."""

    number: int
    first_id: int
    last_id: int
    entries: int
    previous_hash: str
    hash: str
    sealed_at: Moment


class ChainView(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of the whole chain found. `broken_block`: the first that does not fit its entries or predecessor."""

    intact: bool
    blocks: int
    entries: int
    sealed_through: int
    head: str
    broken_block: int | None


def block_hash(previous_hash: str, entries: Iterable[AuditEntry]) -> str:
    """SHA-256, hexadecimal, over the hash before and a line of JSON for each entry: keys sorted, nothing between the signs."""
    digest = hashlib.sha256(previous_hash.encode())
    for entry in entries:
        values = [entry.id, format_time(entry.at), entry.actor, entry.action, entry.subject, entry.details]
        line = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
