"""Which serial a code stands for, under several keys, and which serials are never handed out (rules 25 and 26)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.codes.alphabet import to_text, to_value
from shared.codes.decoding import NOWHERE, Decoder, ReservedRange, ReservedRanges
from shared.codes.ff1 import Ff1
from shared.codes.key_ring import CodeKey, InvalidKeyRing, KeyRing, new_key, parse_key_ring
from shared.codes.words import NO_WORDS, UnknownWordList, contains_word, share_skipped

OLD, NEW = CodeKey("k1", bytes(range(32))), CodeKey("k2", bytes(range(1, 33)))
RING = KeyRing((OLD, NEW))


def value_of(*texts: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([to_value(text) for text in texts], dtype=np.int64)


def test_a_code_leads_to_its_serial_and_range() -> None:
    ranges = ReservedRanges(
        [
            ReservedRange(key_id="k1", first=1, last=100, words=NO_WORDS),
            ReservedRange(key_id="k2", first=101, last=200, words=NO_WORDS),
        ]
    )
    values = np.concatenate(
        [Ff1(OLD.key).encrypt(np.array([1, 100, 101])), Ff1(NEW.key).encrypt(np.array([100, 101, 200, 201]))]
    )
    decoded = Decoder(RING).decode(ranges, values)
    assert decoded.serials.tolist() == [1, 100, 0, 0, 101, 200, 0]
    assert decoded.ranges.tolist() == [0, 0, NOWHERE, NOWHERE, 1, 1, NOWHERE]


def test_without_ranges_nothing_leads_anywhere() -> None:
    decoded = Decoder(RING).decode(ReservedRanges([]), np.array([1, 2, 3], dtype=np.int64))
    assert decoded.ranges.tolist() == [NOWHERE] * 3
    assert not decoded.skipped.any()


@settings(max_examples=30)
@given(st.integers(2**44, 2**45 - 20_000), st.integers(1, 5_000))
def test_no_code_means_two_things_under_two_keys(old_first: int, new_first: int) -> None:
    """Whatever the old key has reserved, a code that the new batch hands out is read as the new batch's."""
    old = ReservedRange(key_id="k1", first=old_first, last=old_first + 10_000, words=NO_WORDS)
    claimed = Ff1(OLD.key).encrypt(np.arange(old.first, old.last + 1))
    serials = np.concatenate([np.arange(new_first, new_first + 500), Ff1(NEW.key).decrypt(claimed[:3])])
    values = Ff1(NEW.key).encrypt(serials)
    before = ReservedRanges([old])
    skipped = Decoder(RING).must_skip(before, key_id="k2", values=values, words=NO_WORDS)
    assert skipped[-3:].all()
    new = ReservedRange(key_id="k2", first=int(serials.min()), last=int(serials.max()), words=NO_WORDS)
    decoded = Decoder(RING).decode(ReservedRanges([old, new]), values[~skipped])
    assert decoded.serials.tolist() == serials[~skipped].tolist()
    assert set(decoded.ranges.tolist()) == {1}


def test_a_code_with_a_listed_word_is_skipped_by_both_sides() -> None:
    rude = value_of("F0CKFVCKZ")
    serial = Ff1(OLD.key).decrypt(rude)
    ranges = ReservedRanges([ReservedRange(key_id="k1", first=int(serial[0]), last=int(serial[0]), words="1")])
    assert Decoder(RING).must_skip(ranges, key_id="k1", values=rude, words="1").tolist() == [True]
    assert Decoder(RING).decode(ranges, rude).skipped.tolist() == [True]


@pytest.mark.parametrize(
    ("code", "holds"),
    [
        ("AAAFVCKAA", True),
        ("5H17AAAAA", True),
        ("ZZZZZSH1T", True),
        ("MERDEAAAA", True),
        ("AAAAAAAAA", False),
        ("3VE3VGT2K", False),
    ],
)
def test_words_are_found_at_any_place_in_digits_too(code: str, holds: bool) -> None:
    assert contains_word(value_of(code), "1").tolist() == [holds]
    assert contains_word(value_of(code), NO_WORDS).tolist() == [False]


def test_the_share_that_the_plan_names_is_the_share_that_is_skipped() -> None:
    random = np.random.default_rng(7).integers(0, 32**9, 400_000)
    assert contains_word(random, "1").mean() == pytest.approx(share_skipped("1"), rel=0.1)
    assert share_skipped("1") < 0.01


def test_a_list_that_this_program_does_not_have_is_said() -> None:
    with pytest.raises(UnknownWordList, match="older than the batch"):
        contains_word(value_of("AAAAAAAAA"), "999")


def test_a_key_ring_is_read_and_written_again() -> None:
    assert parse_key_ring(RING.to_json()) == RING
    assert RING.newest == NEW
    assert RING.by_id("k1") == OLD
    assert RING.by_id("k3") is None


def test_a_key_shows_nothing_of_itself() -> None:
    assert OLD.key.hex() not in repr(RING)
    assert len(OLD.check_value) == 8
    assert OLD.check_value != NEW.check_value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"keys": []}',
        '{"keys": [{"id": "k1", "key": "00"}]}',
        '{"keys": [{"id": "k1", "key": "zz"}]}',
        KeyRing((OLD, OLD)).to_json(),
    ],
)
def test_what_is_no_key_ring_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(InvalidKeyRing):
        parse_key_ring(text)


def test_a_key_has_32_bytes() -> None:
    with pytest.raises(InvalidKeyRing):
        new_key("k1", bytes(31))


def test_a_text_is_shown_as_it_is_read() -> None:
    assert to_text(to_value("3VE3VGT2K")) == "3VE3VGT2K"
