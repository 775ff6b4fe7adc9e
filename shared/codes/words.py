"""Which codes hold a word that nobody wants to find printed on a card: a kept list by version, several languages.

The alphabet has no I, L, O and U, so a word appears in the signs that people read for them (1, 0, V), and digits stand for
letters besides (4 for A, 3 for E, 5 for S, …). A version's answer never changes: redemption applies it again (rule 26).
"""

from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.codes.alphabet import ALPHABET, CODE_LENGTH, RADIX_BITS, Flags, Values

NO_WORDS: Final = "none"
"""The version that skips nothing."""

NEWEST: Final = "1"
SHORTEST: Final = 3

_WRITTEN_AS: Final = {
    "a": "A4",
    "b": "B8",
    "e": "E3",
    "g": "G96",
    "i": "1",
    "l": "1",
    "o": "0",
    "s": "S5",
    "t": "T7",
    "u": "V",
    "z": "Z2",
}


class UnknownWordList(ValueError):  # noqa: N818
    """There is no list of this version: the program is older than the batch."""


def contains_word(values: Values, version: str) -> Flags:
    """For each code, int64[n], whether its text holds a listed word, bool[n]. Raises UnknownWordList.

    The first three signs of every word are looked up in a bitmap at each of the seven places; the few codes that begin a
    word somewhere are compared in full.
    """
    if version == NO_WORDS:
        return np.zeros(len(values), dtype=np.bool_)
    beginnings, words = _tables(version)
    begins = np.zeros(len(values), dtype=np.bool_)
    for place in range(CODE_LENGTH - SHORTEST + 1):
        begins |= beginnings[_window(values, place, SHORTEST)]
    candidates = np.flatnonzero(begins)
    begins[candidates] = _compare(values[candidates], words)
    return begins


def share_skipped(version: str) -> float:
    """The share of all codes that the list skips, 0 to 1: the expectation over random texts, words taken as independent."""
    if version == NO_WORDS:
        return 0.0
    _, words = _tables(version)
    free = 1.0
    for length, numbers in words.items():
        free *= (1 - len(numbers) / 32**length) ** (CODE_LENGTH - length + 1)
    return 1 - free


@lru_cache(maxsize=4)
def _tables(version: str) -> tuple[Flags, dict[int, NDArray[np.int64]]]:
    """The bitmap of beginnings, and by length the sorted numbers of all ways to write a word of that length."""
    spellings = {spelling for word in _read(version) for spelling in _spellings(word)}
    shortest = [s for s in spellings if not any(s[a:b] in spellings for a, b in _inner_parts(s))]
    beginnings = np.zeros(32**SHORTEST, dtype=np.bool_)
    by_length: dict[int, list[int]] = {}
    for spelling in shortest:
        beginnings[_number(spelling[:SHORTEST])] = True
        by_length.setdefault(len(spelling), []).append(_number(spelling))
    return beginnings, {length: np.array(sorted(numbers), dtype=np.int64) for length, numbers in sorted(by_length.items())}


def _read(version: str) -> list[str]:
    path = files("shared.codes") / "word_lists" / f"v{version}.txt"
    if not version.isdigit() or not path.is_file():
        raise UnknownWordList(f"there is no list of words of version {version!r}; this program is older than the batch")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _spellings(word: str) -> Iterable[str]:
    if SHORTEST <= len(word) <= CODE_LENGTH:
        yield from ("".join(signs) for signs in product(*(_WRITTEN_AS.get(letter, letter.upper()) for letter in word)))


def _inner_parts(spelling: str) -> Iterable[tuple[int, int]]:
    length = len(spelling)
    return ((a, b) for a in range(length) for b in range(a + SHORTEST, length + 1) if b - a < length)


def _number(signs: str) -> int:
    number = 0
    for sign in signs:
        number = number << RADIX_BITS | ALPHABET.index(sign)
    return number


def _window(values: Values, place: int, length: int) -> Values:
    shift = RADIX_BITS * (CODE_LENGTH - place - length)
    return (values >> shift) & ((1 << RADIX_BITS * length) - 1)


def _compare(values: Values, words: dict[int, NDArray[np.int64]]) -> Flags:
    found = np.zeros(len(values), dtype=np.bool_)
    for length, numbers in words.items():
        for place in range(CODE_LENGTH - length + 1):
            window = _window(values, place, length)
            nearest = np.minimum(np.searchsorted(numbers, window), len(numbers) - 1)
            found |= numbers[nearest] == window
    return found
