"""Budgets of failed attempts, in whatever order the partitions on which they came in are decided."""

from hypothesis import given
from hypothesis import strategies as st

from services.redemption.domain.budgets import DAY_MILLISECONDS, MINUTE_MILLISECONDS, Attempts, Budgets

BUDGETS = Budgets(attempts_per_minute=3, attempts_per_day=5)
AT = 1_764_000_000_000


def decided(times: list[int]) -> tuple[list[int], Attempts]:
    """The times at which a guess was let through, in the order in which they are given."""
    attempts, passed = Attempts((), BUDGETS.attempts_kept), []
    for at in times:
        if attempts.free_again_at(at, BUDGETS) is None and attempts.room_again_at(at, BUDGETS) is None:
            attempts.add(at)
            passed.append(at)
    return passed, attempts


def most_within(times: list[int], window: int) -> int:
    return max((sum(first <= at < first + window for at in times) for first in times), default=0)


@given(st.lists(st.integers(AT, AT + 4 * MINUTE_MILLISECONDS), max_size=40))
def test_no_minute_holds_more_than_the_budget_in_any_order(times: list[int]) -> None:
    passed, _ = decided(times)
    assert most_within(passed, MINUTE_MILLISECONDS) <= BUDGETS.attempts_per_minute
    assert most_within(passed, DAY_MILLISECONDS) <= BUDGETS.attempts_per_day


@given(st.lists(st.integers(AT, AT + 4 * MINUTE_MILLISECONDS), max_size=40).map(sorted))
def test_in_order_of_time_there_is_room_where_the_player_is_free(times: list[int]) -> None:
    attempts = Attempts((), BUDGETS.attempts_kept)
    for at in times:
        free = attempts.free_again_at(at, BUDGETS)
        assert attempts.room_again_at(at, BUDGETS) == free
        if free is None:
            attempts.add(at)


def test_there_is_room_again_when_the_first_of_the_full_minute_is_a_minute_ago() -> None:
    _, attempts = decided([AT + 30_000, AT + 31_000, AT + 32_000])
    assert attempts.room_again_at(AT, BUDGETS) == AT + 30_000 + MINUTE_MILLISECONDS
    assert attempts.free_again_at(AT, BUDGETS) is None, "a good code of before them passes"
    assert attempts.room_again_at(AT - 28_000, BUDGETS) is None
