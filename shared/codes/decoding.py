"""From a code's value to its serial and range, and which serials a new batch must skip (`protocol.md`, rules 25 and 26)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.codes.alphabet import Flags, Values
from shared.codes.ff1 import Ff1
from shared.codes.key_ring import KeyRing
from shared.codes.words import contains_word

NOWHERE: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedRange:
    """Serials `first` to `last`, both within, reserved for a batch under a key; `words` is its list's version."""

    key_id: str
    first: int
    last: int
    words: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """For each code: its serial (0 where it leads nowhere), the index of its range (-1 where none), whether it is skipped."""

    serials: Values
    ranges: NDArray[np.int64]
    skipped: Flags


class ReservedRanges:
    """All ranges reserved so far, in the order given. Immutable; a lookup is a binary search per key."""

    def __init__(self, ranges: Iterable[ReservedRange]) -> None:
        self.ranges = tuple(ranges)
        self._by_key = {key_id: self._sorted(key_id) for key_id in {r.key_id for r in self.ranges}}
        self._words = sorted({r.words for r in self.ranges})
        self._words_of = np.array([self._words.index(r.words) for r in self.ranges], dtype=np.int64)

    def find(self, key_id: str, serials: Values) -> NDArray[np.int64]:
        """For each serial, int64[n], the index of the key's range that holds it, -1 where none does."""
        if key_id not in self._by_key:
            return np.full(len(serials), NOWHERE, dtype=np.int64)
        firsts, lasts, indices = self._by_key[key_id]
        nearest = np.searchsorted(firsts, serials, side="right") - 1
        within = (nearest >= 0) & (serials <= lasts[nearest])
        return np.where(within, indices[nearest], NOWHERE)

    def listed_words(self, values: Values, ranges: NDArray[np.int64]) -> Flags:
        """Whether each code, led to the range of that index, holds a word of its range's list."""
        found = np.zeros(len(values), dtype=np.bool_)
        for number, version in enumerate(self._words):
            of_version = (ranges >= 0) & (self._words_of[ranges] == number)
            if of_version.any():
                found[of_version] = contains_word(values[of_version], version)
        return found

    def _sorted(self, key_id: str) -> tuple[Values, Values, NDArray[np.int64]]:
        chosen = sorted((r.first, r.last, index) for index, r in enumerate(self.ranges) if r.key_id == key_id)
        table = np.array(chosen, dtype=np.int64).reshape(len(chosen), 3)
        return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()


class Decoder:
    """Turns codes back with a key ring. Holds the ciphers' buffers: one a thread."""

    def __init__(self, ring: KeyRing) -> None:
        self._ciphers = {key.id: Ff1(key.key) for key in ring.keys}

    def decode(self, ranges: ReservedRanges, values: Values) -> Decoded:
        """Each value, int64[n], by the keys oldest first: the first whose serial lies in a range reserved under that key."""
        serials = np.zeros(len(values), dtype=np.int64)
        found = np.full(len(values), NOWHERE, dtype=np.int64)
        for key_id, cipher in self._ciphers.items():
            open_places = np.flatnonzero(found == NOWHERE)
            if not len(open_places):
                break
            candidates = cipher.decrypt(values[open_places])
            where = ranges.find(key_id, candidates)
            hits = where != NOWHERE
            found[open_places[hits]] = where[hits]
            serials[open_places[hits]] = candidates[hits]
        return Decoded(serials, found, ranges.listed_words(values, found) if len(ranges.ranges) else found >= 0)

    def must_skip(self, ranges: ReservedRanges, *, key_id: str, values: Values, words: str) -> Flags:
        """Which codes of a new batch under the key must not be handed out: an older key claims them, or they hold a word."""
        skipped = contains_word(values, words)
        for older_id, cipher in self._ciphers.items():
            if older_id == key_id:
                return skipped
            skipped |= ranges.find(older_id, cipher.decrypt(values)) != NOWHERE
        message = f"the key ring has no key {key_id}"
        raise KeyError(message)
