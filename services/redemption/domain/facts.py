"""What is known before a batch is decided, and what has to be written after."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from services.redemption.domain.budgets import Tally
from services.redemption.domain.ledger import LedgerEntry, PlayerKey, PlayerSlot, StoreSlot
from shared.contracts.redemption import Outcome, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Read in one statement, so that they are of one moment.

    `entries`: every ledger entry of the batch's serials and of its events. `player_counts`: absent where nothing was ever
    counted. `campaign_counts` and `store_counts` are there only when their rows are locked; without them the counts are
    checked when they are written (rule 8), and here taken to be far from their limits.
    """

    entries: Sequence[LedgerEntry] = ()
    player_counts: Mapping[PlayerSlot, int] = field(default_factory=dict)
    attempts: Mapping[PlayerKey, Sequence[int]] = field(default_factory=dict)
    tallies: Sequence[Tally] = ()
    campaign_counts: Mapping[str, int] | None = None
    store_counts: Mapping[StoreSlot, int] | None = None


@dataclass(slots=True)
class Change:
    """How a count changes over a batch: `net` at its end, `peak` the most that it was above its beginning when added to."""

    net: int = 0
    peak: int = 0
    added: bool = False

    @property
    def only_refills(self) -> bool:
        """Whether all that was added was freed before: one who does not know the count cannot tell if it was within a limit."""
        return self.added and not self.peak

    def add(self) -> None:
        self.added = True
        self.net += 1
        self.peak = max(self.peak, self.net)

    def release(self) -> None:
        self.net -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """The outcomes of a batch in offset order, and the rows that make them true."""

    outcomes: Sequence[Outcome]
    redemptions: Sequence[LedgerEntry]
    reversals: Sequence[LedgerEntry]
    """The entries with the reversal that is new."""
    player_changes: Mapping[PlayerSlot, int]
    campaign_changes: Mapping[str, Change]
    store_changes: Mapping[StoreSlot, Change]
    attempts: Mapping[PlayerKey, Sequence[int]]
    guessers: Collection[PlayerKey]
    """Those of the attempts' players some of whose attempts were let through because their budgets were not spent."""
    tallies: Sequence[Tally]
    last_source: Source | None
