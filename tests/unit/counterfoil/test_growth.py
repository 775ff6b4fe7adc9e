"""The simulation behind docs/scale.md keeps to what must hold of any system, and to what was measured."""

from dataclasses import replace

import pytest

from tests.bench.growth_simulation import (
    Costs,
    Layout,
    decided_a_second,
    most_a_second,
    shares_of_campaigns,
    shares_of_cells,
    shares_of_partitions,
)

SMALL = Layout(partitions=6, copies=1, cores_a_ledger=1)


def test_what_is_offered_below_the_limit_is_decided() -> None:
    assert decided_a_second(SMALL, 10_000, Costs()) == pytest.approx(10_000, rel=0.01)


def test_one_copy_is_bound_by_its_core() -> None:
    assert most_a_second(SMALL) == pytest.approx(1e6 / Costs().worker, rel=0.03)


def test_a_copy_more_than_partitions_adds_nothing() -> None:
    six = Layout(partitions=6, copies=6, cores_a_ledger=16)
    assert most_a_second(replace(six, copies=7)) == pytest.approx(most_a_second(six), rel=0.01)


def test_copies_beyond_the_ledgers_cores_add_nothing() -> None:
    full = Layout(partitions=24, copies=8, cores_a_ledger=4, brokers=3)
    assert most_a_second(replace(full, copies=24)) == pytest.approx(most_a_second(full), rel=0.02)


def test_cells_add_up_until_one_campaign_is_too_large_for_its_cell() -> None:
    one = Layout(partitions=48, copies=48, cores_a_ledger=4, brokers=6, skew=0.0)
    four = replace(one, cells=4)
    assert most_a_second(four) == pytest.approx(4 * most_a_second(one), rel=0.05)
    assert max(shares_of_cells(replace(four, skew=2.0))) == pytest.approx(shares_of_campaigns(replace(four, skew=2.0))[0])
    assert decided_a_second(replace(four, skew=2.0), 900_000, Costs()) < decided_a_second(four, 900_000, Costs())


def test_shares_are_shares() -> None:
    for shares in (shares_of_cells(replace(SMALL, cells=3)), shares_of_partitions(SMALL, 3), shares_of_campaigns(SMALL)):
        assert sum(shares) == pytest.approx(1)
