"""Which texts hold a listed word, and that a list once used never answers otherwise."""

import hashlib
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codes.alphabet import ALPHABET, CODE_LENGTH, to_value
from shared.codes.words import NEWEST, NO_WORDS, UnknownWordList, _read, _spellings, _tables, contains_word, share_skipped

LETTERS_OF = {"4": "a", "8": "b", "3": "e", "9": "g", "6": "g", "0": "o", "5": "s", "7": "t", "V": "uv", "2": "z", "1": "il"}
WORDS = sorted(_read("1"))


def value_of(*texts: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([to_value(text) for text in texts], dtype=np.int64)


def reads_as_a_word(code: str) -> bool:
    """The slow way, from the other end: every reading of the signs as letters, looked through for every word."""
    readings = ("".join(letters) for letters in product(*(LETTERS_OF.get(sign, sign.lower()) for sign in code)))
    return any(word in reading for reading in readings for word in WORDS)


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


@given(st.text("AC4SF3VKE01H7T5B8DMR", min_size=9, max_size=9))
def test_words_are_found_as_by_reading_every_code(code: str) -> None:
    assert contains_word(value_of(code), "1").tolist() == [reads_as_a_word(code)]


@given(st.sampled_from(WORDS), st.data())
def test_every_word_is_found_at_every_place_in_every_spelling(word: str, data: st.DataObject) -> None:
    spelling = data.draw(st.sampled_from(sorted(_spellings(word))))
    place = data.draw(st.integers(0, CODE_LENGTH - len(spelling)))
    around = data.draw(st.text(ALPHABET, min_size=CODE_LENGTH, max_size=CODE_LENGTH))
    code = around[:place] + spelling + around[place + len(spelling) :]
    assert contains_word(value_of(code), "1").tolist() == [True]


def test_every_listed_word_can_stand_in_a_code() -> None:
    assert [word for word in WORDS if not (3 <= len(word) <= CODE_LENGTH and word.isascii() and word.islower())] == []


def test_version_1_answers_as_it_did_when_the_first_batch_was_made() -> None:
    """If this fails, the list or its spellings have changed under printed codes: make a new version instead (rule 26)."""
    _, by_length = _tables("1")
    digest = hashlib.sha256()
    for length, numbers in by_length.items():
        digest.update(f"{length}:{','.join(map(str, numbers.tolist()))};".encode())
    assert digest.hexdigest() == "1c42f1de24cd4e2e54c55e5a93edea74c19e837edbd09e394292742d9c6d9c7d"


def test_new_batches_use_a_list_that_is_there() -> None:
    assert 0 < share_skipped(NEWEST) < 0.01
    assert share_skipped(NO_WORDS) == 0.0
