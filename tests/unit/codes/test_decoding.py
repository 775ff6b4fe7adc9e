"""Which serial a code stands for, under several keys, and which serials are never handed out (rules 25 and 26)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.codes.alphabet import DOMAIN, to_value
from shared.codes.decoding import NOWHERE, Decoder, ReservedRange, ReservedRanges
from shared.codes.ff1 import Ff1
from shared.codes.key_ring import CodeKey, KeyRing
from shared.codes.words import NO_WORDS, contains_word

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


def test_an_older_key_does_not_give_up_its_codes_to_three_newer_ones() -> None:
    ring = KeyRing(tuple(CodeKey(f"k{number}", bytes([number] * 32)) for number in range(1, 5)))
    widest = [ReservedRange(key_id=key.id, first=0, last=DOMAIN - 1, words=NO_WORDS) for key in ring.keys]
    values = np.arange(1_000, dtype=np.int64)
    decoded = Decoder(ring).decode(ReservedRanges(reversed(widest)), values)
    assert decoded.serials.tolist() == Ff1(ring.keys[0].key).decrypt(values).tolist()
    assert set(decoded.ranges.tolist()) == {3}


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=12), st.data())
def test_a_range_is_found_as_by_looking_at_each(gaps_and_lengths: list[tuple[int, int]], data: st.DataObject) -> None:
    ranges, after = [], 0
    for gap, length in gaps_and_lengths:
        ranges.append(ReservedRange(key_id="k1", first=after + gap, last=after + gap + length - 1, words=NO_WORDS))
        after += gap + length
    ranges = data.draw(st.permutations(ranges))
    serials = np.arange(after + 3, dtype=np.int64)
    expected = [next((i for i, r in enumerate(ranges) if r.first <= s <= r.last), NOWHERE) for s in serials]
    found = ReservedRanges(ranges)
    assert found.find("k1", serials).tolist() == expected
    assert set(found.find("k2", serials).tolist()) <= {NOWHERE}


def test_each_range_keeps_the_words_it_was_made_with() -> None:
    rude = value_of("F0CKFVCKZ", "AAAFVCKAA")
    serials = Ff1(OLD.key).decrypt(rude)
    ranges = [
        ReservedRange(key_id="k1", first=int(serial), last=int(serial), words=words)
        for serial, words in zip(serials, (NO_WORDS, "1"), strict=True)
    ]
    assert Decoder(RING).decode(ReservedRanges(ranges), rude).skipped.tolist() == [False, True]


def test_a_key_that_the_ring_does_not_have_makes_no_codes() -> None:
    with pytest.raises(KeyError, match="no key k3"):
        Decoder(RING).must_skip(ReservedRanges([]), key_id="k3", values=value_of("3VE3VGT2K"), words=NO_WORDS)


def test_what_is_handed_out_passes_and_what_is_skipped_is_not_read_as_handed_out() -> None:
    """Both sides of rule 26 over one block of serials, the older key's range lying across it."""
    serials = np.arange(1, 20_001, dtype=np.int64)
    values = Ff1(NEW.key).encrypt(serials)
    claimed = np.sort(Ff1(OLD.key).decrypt(values[::100]))
    before = [ReservedRange(key_id="k1", first=int(claimed[i]), last=int(claimed[i]), words="1") for i in range(len(claimed))]
    skipped = Decoder(RING).must_skip(ReservedRanges(before), key_id="k2", values=values, words="1")
    new = ReservedRange(key_id="k2", first=1, last=len(serials), words="1")
    decoded = Decoder(RING).decode(ReservedRanges([*before, new]), values)
    good = (decoded.ranges == len(before)) & ~decoded.skipped
    assert (good == ~skipped).all()
    assert skipped[::100].all()
    assert (skipped == (contains_word(values, "1") | (serials % 100 == 1))).all()
