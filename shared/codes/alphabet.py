"""The text of a code: nine signs of base 32, the most significant first, as people write them.

A code's *value* is the number that its nine signs stand for, 0 to 32^9 - 1, held in an int64.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U."""

CODE_LENGTH: Final = 9
RADIX_BITS: Final = 5
DOMAIN: Final = 32**CODE_LENGTH
GROUP: Final = 3

Values = NDArray[np.int64]
Texts = NDArray[np.uint8]
Flags = NDArray[np.bool_]

_INVALID: Final = 255
_SIGNS: Final = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
_SHIFTS: Final = np.arange(CODE_LENGTH - 1, -1, -1, dtype=np.int64) * RADIX_BITS


def _reading_table() -> NDArray[np.uint8]:
    table = np.full(256, _INVALID, dtype=np.uint8)
    for numeral, sign in enumerate(ALPHABET):
        table[ord(sign)] = table[ord(sign.lower())] = numeral
    for sign, same_as in (("I", "1"), ("L", "1"), ("O", "0")):
        table[ord(sign)] = table[ord(sign.lower())] = ALPHABET.index(same_as)
    return table


_NUMERALS: Final = _reading_table()
_MALFORMED: Final = "!"


def _writing_table() -> dict[int, str | None]:
    table: dict[int, str | None] = dict.fromkeys(range(128), _MALFORMED)
    table.update({byte: ALPHABET[numeral] for byte, numeral in enumerate(_NUMERALS.tolist()) if numeral != _INVALID})
    table.update(dict.fromkeys(map(ord, " \t-")))
    return table


_SIGN_OF: Final = _writing_table()


def normalise(text: str) -> str | None:
    """The nine signs that a person's text stands for, None when it is malformed.

    Any case; I and L are 1, O is 0; spaces, tabs and dashes are dropped; anything outside ASCII is malformed.
    """
    if not text.isascii():
        return None
    signs = text.translate(_SIGN_OF)
    return signs if len(signs) == CODE_LENGTH and _MALFORMED not in signs else None


def group(code: str) -> str:
    """A code as it is shown and printed: `3VE-3VG-T2K`."""
    return "-".join(code[start : start + GROUP] for start in range(0, CODE_LENGTH, GROUP))


def hint(code: str) -> str:
    """As much of a code as may be stored and logged: `3VE••••••`."""
    return code[:GROUP] + "•" * (CODE_LENGTH - GROUP)


def to_value(code: str) -> int:
    """The value of one normalised code."""
    values, _ = texts_to_values(np.frombuffer(code.encode(), dtype=np.uint8).reshape(1, CODE_LENGTH))
    return int(values[0])


def to_text(value: int) -> str:
    """The nine signs of one value."""
    return values_to_texts(np.array([value], dtype=np.int64)).tobytes().decode()


def values_to_texts(values: Values) -> Texts:
    """int64[n] to the ASCII of their signs, uint8[n, 9]."""
    texts = np.empty((len(values), CODE_LENGTH), dtype=np.uint8)
    for place, shift in enumerate(_SHIFTS):
        texts[:, place] = _SIGNS[(values >> shift) & 31]
    return texts


def grouped_texts(values: Values) -> Texts:
    """int64[n] to the ASCII of their codes as printed, uint8[n, 11]."""
    texts = values_to_texts(values)
    grouped = np.full((len(values), CODE_LENGTH + 2), ord("-"), dtype=np.uint8)
    for start in range(0, CODE_LENGTH, GROUP):
        place = start + start // GROUP
        grouped[:, place : place + GROUP] = texts[:, start : start + GROUP]
    return grouped


def texts_to_values(texts: Texts) -> tuple[Values, Flags]:
    """ASCII, uint8[n, 9], to values, int64[n] (0 where malformed), and whether each is well formed, bool[n]."""
    values = np.zeros(len(texts), dtype=np.int64)
    well_formed = np.ones(len(texts), dtype=np.bool_)
    for place in range(CODE_LENGTH):
        numerals = _NUMERALS[texts[:, place]]
        well_formed &= numerals != _INVALID
        values <<= RADIX_BITS
        values |= numerals & 31
    values[~well_formed] = 0
    return values, well_formed


def parse_codes(codes: Sequence[str]) -> tuple[Values, Flags]:
    """Texts as people write them to values, int64[n] (0 where malformed), and whether each is well formed, bool[n].

    Texts that are nine signs already take the fast way, all together.
    """
    joined = "".join(codes)
    if not joined.isascii() or any(len(code) != CODE_LENGTH for code in codes):
        return _parse_one_by_one(codes)
    texts = np.frombuffer(joined.encode(), dtype=np.uint8).reshape(len(codes), CODE_LENGTH)
    values, well_formed = texts_to_values(texts)
    return values, well_formed


def _parse_one_by_one(codes: Sequence[str]) -> tuple[Values, Flags]:
    malformed = _MALFORMED * CODE_LENGTH
    cleaned = [code if len(code) == CODE_LENGTH and code.isascii() else normalise(code) or malformed for code in codes]
    texts = np.frombuffer("".join(cleaned).encode(), dtype=np.uint8).reshape(len(codes), CODE_LENGTH)
    return texts_to_values(texts)
