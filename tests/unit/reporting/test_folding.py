"""Sums of outcomes do not depend on how they are cut into batches, nor on the order between partitions."""

from dataclasses import asdict
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.reporting.domain.folding import Folded, IncompleteOutcome, fold
from tests.unit.reporting.history import ZONE, make_history
from tests.unit.reporting.recomputation import recompute

WHOLE = ("accepted", "reopened", "reversed", "rejected")


def sums(parts: list[Folded]) -> dict[Any, Any]:
    """All sums of some batches, added up."""
    totals: dict[Any, dict[str, Any]] = {}
    players: dict[Any, int] = {}
    for part in parts:
        for key, counts in [*part.totals.items(), *part.hours.items()]:
            kept = totals.setdefault(key, dict.fromkeys(WHOLE, 0))
            for name in WHOLE:
                kept[name] += asdict(counts)[name]
        for player, change in part.players.items():
            players[player] = players.get(player, 0) + change
    return {"totals": totals, "players": {key: n for key, n in players.items() if n}}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 40), backwards=st.booleans())
def test_batches_and_order_do_not_matter(seed: int, size: int, backwards: bool) -> None:
    history = make_history(seed, events=80)
    whole = fold(history.outcomes, lambda _: ZONE)
    partitions = history.partitions[::-1] if backwards else history.partitions
    parts = [
        fold(partition[start : start + size], lambda _: ZONE)
        for partition in partitions
        for start in range(0, len(partition), size)
    ]
    assert sums(parts) == sums([whole])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_sums_agree_with_a_recomputation(seed: int) -> None:
    history = make_history(seed, events=80)
    folded = fold(history.outcomes, lambda _: ZONE)
    for store_id, wanted in recompute(history).items():
        mine = [counts for (_, store, _), counts in folded.totals.items() if store == store_id]
        assert sum(c.accepted for c in mine) == wanted.accepted
        assert sum(c.accepted - c.reopened for c in mine) == wanted.redeemed
        assert sum(c.reversed for c in mine) == wanted.reversed
        assert sum(c.rejected for c in mine) == wanted.rejected
        players = [n for (_, store, _, _), n in folded.players.items() if store == store_id]
        assert sum(n > 0 for n in players) == wanted.unique_players


def test_an_accepted_outcome_without_a_store_is_not_counted_silently() -> None:
    outcome = next(o for o in make_history(1).outcomes if o.type.value == "redemption.accepted")
    with pytest.raises(IncompleteOutcome):
        fold([msgspec.structs.replace(outcome, store_id=None)], lambda _: ZONE)
