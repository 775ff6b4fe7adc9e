"""Where the fold of the outcomes topic is, one place a partition (`protocol.md`, rule 16)."""

from dataclasses import dataclass
from typing import Final

from shared.contracts.redemption import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Of one outcomes partition: the next offset to read, and the source of the last outcome that was folded."""

    next_offset: int | None
    mark: Source | None


UNREAD: Final = Place(next_offset=None, mark=None)
"""Of a partition that nothing was folded of: it is read from the first record held."""
