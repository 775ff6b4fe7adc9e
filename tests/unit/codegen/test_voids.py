"""What a void covers: its stretches without what is redeemed or void already."""

from hypothesis import given
from hypothesis import strategies as st

from services.codegen.domain.voids import RANGES_A_RECORD, Stretch, cut_around, joined, parts_of
from shared.contracts.codegen import VoidRange


def stretch(first: int, last: int, codes: int | None = None, store: str = "s-1") -> Stretch:
    return Stretch(first=first, last=last, batch_id="b-1", store_id=store, codes=codes)


def serials(stretches: list[Stretch]) -> list[int]:
    return [serial for s in stretches for serial in range(s.first, s.last + 1)]


ends = st.lists(st.integers(1, 60), min_size=2, max_size=12, unique=True).map(sorted)


def pairs(numbers: list[int]) -> list[tuple[int, int]]:
    return list(zip(numbers[::2], numbers[1::2], strict=False))


@given(ends, ends, st.lists(st.integers(1, 60), max_size=10, unique=True))
def test_what_is_left_is_what_is_not_taken(whole: list[int], void: list[int], redeemed: list[int]) -> None:
    stretches = [stretch(first, last) for first, last in pairs(whole)]
    taken = sorted(pairs(void) + [(serial, serial) for serial in redeemed])
    left = list(cut_around(stretches, taken))
    gone = {serial for first, last in taken for serial in range(first, last + 1)}
    assert serials(left) == [serial for serial in serials(stretches) if serial not in gone]


def test_the_count_of_a_part_is_known_only_where_nothing_was_skipped() -> None:
    dense, gapped = list(cut_around([stretch(1, 10, 10), stretch(11, 20, 9)], [(5, 5), (15, 15)]))[::2]
    assert (dense.codes, gapped.codes) == (4, None)
    assert [s.codes for s in cut_around([stretch(11, 20, 9)], [])] == [9]


def test_single_serials_that_follow_each_other_become_one_stretch() -> None:
    singles = [stretch(n, n, 1) for n in (3, 4, 5, 9)] + [stretch(10, 10, 1, "s-2")]
    assert [(s.first, s.last, s.codes) for s in joined(singles)] == [(3, 5, 3), (9, 9, 1), (10, 10, 1)]


def test_a_large_void_is_several_records() -> None:
    ranges = [VoidRange(first=n, last=n, batch_id="b", store_id="s", codes=1) for n in range(RANGES_A_RECORD + 1)]
    assert [len(part) for part in parts_of(ranges)] == [RANGES_A_RECORD, 1]
