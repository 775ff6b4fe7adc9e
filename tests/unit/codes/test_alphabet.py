"""The text of a code, as people write it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codes.alphabet import (
    ALPHABET,
    DOMAIN,
    group,
    grouped_texts,
    hint,
    normalise,
    parse_codes,
    texts_to_values,
    to_text,
    to_value,
    values_to_texts,
)

codes = st.text(ALPHABET, min_size=9, max_size=9)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("3VE3VGT2K", "3VE3VGT2K"),
        ("3ve-3vg-t2k", "3VE3VGT2K"),
        (" 3VE 3VG\tT2K ", "3VE3VGT2K"),
        ("oOiIlL234", "001111234"),
        ("---3VE3VGT2K---", "3VE3VGT2K"),
        ("3VE3VGT2", None),
        ("3VE3VGT2KK", None),
        ("3VE3VGT2U", None),
        ("3VE3VGT2ı", None),
        ("\uff13VE3VGT2K", None),
        ("3VE3VGT2\n", None),
        ("3VE3VGT2K\n", None),
        ("3VE\r3VG\x0bT2K", None),
        ("3VE\u20133VG\u2013T2K", None),
        ("3VE_3VG_T2K", None),
        ("", None),
        ("3VE3VGT2\xa0K", None),
    ],
)
def test_reading_a_code(written: str, read: str | None) -> None:
    assert normalise(written) == read
    values, well_formed = parse_codes([written, "000000001"])
    assert bool(well_formed[0]) == (read is not None)
    assert int(values[0]) == (to_value(read) if read else 0)
    assert int(values[1]) == 1


def test_showing_a_code() -> None:
    assert group("3VE3VGT2K") == "3VE-3VG-T2K"
    assert hint("3VE3VGT2K") == "3VE••••••"


@given(st.lists(st.integers(0, DOMAIN - 1), max_size=30))
def test_values_and_texts_are_the_same_thing(numbers: list[int]) -> None:
    values = np.array(numbers, dtype=np.int64)
    texts = values_to_texts(values)
    back, well_formed = texts_to_values(texts)
    assert back.tolist() == numbers
    assert well_formed.all()
    assert [bytes(row).decode() for row in grouped_texts(values)] == [group(to_text(number)) for number in numbers]


@given(st.lists(st.one_of(codes, st.text(max_size=12)), max_size=20))
def test_many_codes_are_read_like_one(written: list[str]) -> None:
    values, well_formed = parse_codes(written)
    read = [normalise(text) for text in written]
    assert well_formed.tolist() == [code is not None for code in read]
    assert values.tolist() == [to_value(code) if code else 0 for code in read]


def test_a_text_is_shown_as_it_is_read() -> None:
    assert to_text(to_value("3VE3VGT2K")) == "3VE3VGT2K"
