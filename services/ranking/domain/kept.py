"""What a campaign keeps between two refreshes of its boards, and what each was made from."""

from dataclasses import dataclass, field

import numpy as np

from services.ranking.domain.boards import Board, Counts
from services.ranking.domain.roster import Roster
from services.ranking.domain.scores import Integers
from services.ranking.domain.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A certified window: the stores as they were, and what was counted of them."""

    roster: Roster
    counts: Counts


@dataclass(slots=True)
class KeptFrozen:
    frozen: Frozen
    read_at: int


@dataclass(slots=True)
class KeptBoard:
    """An overall board as of the last refresh, and the changes that it holds."""

    stamp: tuple[int, ...]
    board: Board
    read_at: int


@dataclass(slots=True)
class KeptRanks:
    """Ranks on a board of an earlier window, and the changes that they hold."""

    stamp: tuple[int, ...]
    ranks: Integers
    read_at: int


@dataclass(slots=True, kw_only=True)
class KeptTable:
    """A table, what it was made from, and the refresh at which that was found to be still so."""

    table: Table
    board: Board
    previous: Integers
    facts: int
    read_at: int

    def is_made_of(self, board: Board, previous: Integers, facts: int) -> bool:
        return self.board is board and self.previous is previous and self.facts == facts


@dataclass(slots=True)
class BestRanks:
    stamp: tuple[int, ...] = ()
    ranks: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
