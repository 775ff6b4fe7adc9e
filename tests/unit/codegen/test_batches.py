"""Orders, ranges and what may become of a batch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.codegen.domain.batches import CODES_LIMIT, BatchOrder, check_order, check_transition, serials_needed
from services.codegen.domain.refusals import Conflict, Wrong
from shared.contracts.codegen import BatchState


def order(*allotments: tuple[str, int]) -> BatchOrder:
    return BatchOrder(campaign_id="spring", allotments=allotments, count_per_store=None, publish=False)


def test_an_unknown_store_and_a_store_named_twice_are_refused_by_place() -> None:
    with pytest.raises(Wrong) as refused:
        check_order(order(("s-1", 1), ("s-9", 2), ("s-1", 3)), ["s-1", "s-2"])
    assert [fault.field for fault in refused.value.faults] == ["allotments.1.store_id", "allotments.2.store_id"]


def test_an_order_for_all_takes_every_store_in_order() -> None:
    every = BatchOrder(campaign_id="spring", allotments=None, count_per_store=7, publish=False)
    assert check_order(every, ["s-1", "s-2"]) == [("s-1", 7), ("s-2", 7)]
    with pytest.raises(Wrong, match="no stores"):
        check_order(every, [])


def test_a_batch_has_a_largest_size() -> None:
    assert check_order(order(("s-1", CODES_LIMIT)), ["s-1"])
    with pytest.raises(Wrong, match="at most"):
        check_order(order(("s-1", CODES_LIMIT), ("s-2", 1)), ["s-1", "s-2"])


@given(st.integers(1, CODES_LIMIT), st.floats(0, 0.2))
def test_a_range_is_wider_than_the_count_by_what_is_skipped(count: int, share: float) -> None:
    width = serials_needed(count, skipped_share=share)
    assert width * (1 - share) >= count
    assert width <= count / (1 - share) + 10 * count**0.5 + 100


@pytest.mark.parametrize(
    ("state", "wanted", "changes"),
    [
        (BatchState.READY, BatchState.PUBLISHED, True),
        (BatchState.PUBLISHED, BatchState.PUBLISHED, False),
        (BatchState.GENERATING, BatchState.CANCELLED, True),
        (BatchState.CANCELLED, BatchState.CANCELLED, False),
        (BatchState.FAILED, BatchState.QUEUED, True),
        (BatchState.GENERATING, BatchState.QUEUED, False),
    ],
)
def test_what_is_asked_for_twice_changes_once(state: BatchState, wanted: BatchState, changes: bool) -> None:
    assert check_transition(state, wanted) is changes


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        (BatchState.QUEUED, BatchState.PUBLISHED),
        (BatchState.FAILED, BatchState.PUBLISHED),
        (BatchState.CANCELLED, BatchState.PUBLISHED),
        (BatchState.PUBLISHED, BatchState.CANCELLED),
        (BatchState.CANCELLED, BatchState.QUEUED),
        (BatchState.READY, BatchState.QUEUED),
    ],
)
def test_what_cannot_be_is_a_conflict(state: BatchState, wanted: BatchState) -> None:
    with pytest.raises(Conflict):
        check_transition(state, wanted)
