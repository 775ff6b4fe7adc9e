"""The figures of a history recomputed in the plainest way, one outcome at a time."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from shared.contracts.codegen import BatchState
from shared.contracts.game_platforms import ReversalReason
from shared.contracts.redemption import Outcome, OutcomeName
from tests.unit.reporting.history import History


@dataclass(kw_only=True)
class StoreFigures:
    """A store's figures, counted one outcome at a time."""

    issued: int = 0
    accepted: int = 0
    redeemed: int = 0
    reversed: int = 0
    void: int = 0
    outstanding: int = 0
    unique_players: int = 0
    score: int = 0
    rejected: int = 0
    rank: int | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None


def recompute(history: History, since: datetime | None = None, until: datetime | None = None) -> dict[str, StoreFigures]:
    """The figures of every store: of ever, or counts and ranks of a half-open period. The campaign is taken as not over."""
    counted = [o for o in history.outcomes if not o.duplicate and o.store_id is not None]
    reversals = {o.redemption_id: o for o in counted if o.outcome is OutcomeName.REVERSED}
    accepted = [o for o in counted if o.outcome is OutcomeName.REDEEMED]
    figures = {store.id: StoreFigures() for store in history.stores}
    for store_id, found in figures.items():
        mine = [o for o in accepted if o.store_id == store_id]
        within = [o for o in mine if _within(o.occurred_at, since, until)]
        kept = [o for o in within if o.redemption_id not in reversals]
        found.accepted = len(within)
        found.reversed = len(within) - len(kept)
        found.score = len(kept)
        found.redeemed = sum(_holds(reversals.get(o.redemption_id)) for o in within)
        found.unique_players = len({(o.platform, o.player_id) for o in kept})
        found.first_at = min((o.occurred_at for o in within), default=None)
        found.last_at = max((o.occurred_at for o in within), default=None)
        found.rejected = sum(
            o.store_id == store_id and o.redemption_id is None and _within(o.occurred_at, since, until) for o in counted
        )
        held = {o.serial for o in mine if _holds(reversals.get(o.redemption_id))}
        _add_states(found, store_id, history, held)
    shown = {store.id for store in history.stores if not store.hidden and not store.test}
    scores = Counter({key: f.score for key, f in figures.items() if key in shown and f.score > 0})
    for key, score in scores.items():
        figures[key].rank = 1 + sum(other > score for other in scores.values())
    return figures


def _add_states(found: StoreFigures, store_id: str, history: History, held: set[int | None]) -> None:
    published = [b for b in history.batches if b.state is BatchState.PUBLISHED]
    found.issued = sum(a.count for b in published for a in b.allotments if a.store_id == store_id)
    void = {s for v in history.voids for r in v.ranges if r.store_id == store_id for s in range(r.first, r.last + 1)}
    found.void = len(void - held)
    found.outstanding = found.issued - len(held) - found.void


def _within(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or at >= since) and (until is None or at < until)


def _holds(reversal: Outcome | None) -> bool:
    return reversal is None or not ReversalReason(str(reversal.reason)).reopens_code
