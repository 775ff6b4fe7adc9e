"""Making a batch's blocks: serials to codes by FF1, the skip rule, rows for COPY, the hashes of the manifest. CPU work only."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.codegen.domain.batches import BLOCK_SERIALS, BatchRow
from services.codegen.store import copy_format
from services.codegen.store.batches import AllotmentRow
from shared.codes.alphabet import CODE_LENGTH, Values, values_to_texts
from shared.codes.decoding import Decoder, ReservedRanges
from shared.codes.ff1 import Ff1
from shared.codes.key_ring import KeyRing


class CannotMake(Exception):  # noqa: N818 (the batch fails with this sentence)
    """The batch cannot be made as it was ordered. The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBlock:
    """A block ready to be loaded. `notes` tell where its allotments begin and end, and the hashes of those that end in it."""

    number: int
    rows: bytes = field(repr=False)
    codes: int
    notes: list[dict[str, Any]]


class BlockMaker:
    """Makes a batch's blocks one after another, always the same ones. Belongs to one thread at a time.

    A block is `BLOCK_SERIALS` serials of the reserved range; those that are skipped leave gaps, and the allotments are filled
    in order from what remains.
    """

    def __init__(self, batch: BatchRow, allotments: Sequence[AllotmentRow], ring: KeyRing, ranges: ReservedRanges) -> None:
        key = ring.by_id(batch.key_id)
        if key is None:
            raise CannotMake(f"the key ring has no key {batch.key_id}")
        self._batch = batch
        self._allotments = allotments
        self._cipher = Ff1(key.key)
        self._decoder = Decoder(ring)
        self._ranges = ranges
        self._ends = np.cumsum([allotment.count for allotment in allotments], dtype=np.int64)
        self._stores = np.array([allotment.store_number for allotment in allotments], dtype=np.int32)
        self._hash = hashlib.sha256()
        self.made = batch.loaded

    def catch_up(self) -> None:
        """Hashes again what was loaded of the allotment that the next block goes on with. Before the first `make`."""
        place = self._place_of(self.made)
        if place == len(self._allotments):
            return
        already = self.made - (int(self._ends[place]) - self._allotments[place].count)
        first = self._allotments[place].first_serial
        if already == 0 or first is None:
            return
        stop, hashed = self._first_serial_of(self._batch.next_block), 0
        for start in range(first, stop, BLOCK_SERIALS):
            _, lines = self._codes(start, min(start + BLOCK_SERIALS, stop))
            self._hash.update(lines)
            hashed += len(lines) // (CODE_LENGTH + 1)
        if hashed != already:
            raise CannotMake(f"{already} codes of an allotment were loaded, but {hashed} are made again from its serials")

    def make(self, number: int) -> MadeBlock:
        """Block `number`, which must follow the last one made. Raises CannotMake past the end of the range."""
        first = self._first_serial_of(number)
        if first > self._batch.last_serial:
            raise CannotMake(f"the reserved range ends after {self.made} of {self._batch.count} codes")
        serials, lines = self._codes(first, min(self._first_serial_of(number + 1), self._batch.last_serial + 1))
        wanted = self._batch.count - self.made
        serials, lines = serials[:wanted], lines[: wanted * (CODE_LENGTH + 1)]
        positions = np.arange(self.made, self.made + len(serials))
        stores = self._stores[np.searchsorted(self._ends, positions, side="right")]
        notes = self._notes(serials, lines)
        self.made += len(serials)
        rows = copy_format.write_codes(serials, self._batch.number, stores)
        return MadeBlock(number=number, rows=rows, codes=len(serials), notes=notes)

    @property
    def finished(self) -> bool:
        return self.made == self._batch.count

    def _first_serial_of(self, block: int) -> int:
        return self._batch.first_serial + block * BLOCK_SERIALS

    def _place_of(self, position: int) -> int:
        return int(np.searchsorted(self._ends, position, side="right"))

    def _codes(self, first: int, stop: int) -> tuple[Values, memoryview]:
        """The serials from `first` to before `stop` that are not skipped, and their texts, each with a line's end after it."""
        serials = np.arange(first, stop, dtype=np.int64)
        values = self._cipher.encrypt(serials)
        kept = ~self._decoder.must_skip(self._ranges, key_id=self._batch.key_id, values=values, words=self._batch.words)
        serials, values = serials[kept], values[kept]
        lines = np.full((len(values), CODE_LENGTH + 1), ord("\n"), dtype=np.uint8)
        lines[:, :CODE_LENGTH] = values_to_texts(values)
        return serials, lines.reshape(-1).data

    def _notes(self, serials: Values, lines: memoryview) -> list[dict[str, Any]]:
        """What is known of the allotments that these serials, the next ones, belong to."""
        notes: list[dict[str, Any]] = []
        start = 0
        for place in range(self._place_of(self.made), len(self._allotments)):
            if start == len(serials):
                break
            end = min(int(self._ends[place]) - self.made, len(serials))
            self._hash.update(lines[start * (CODE_LENGTH + 1) : end * (CODE_LENGTH + 1)])
            note: dict[str, Any] = {"place": place, "first_serial": int(serials[start]), "last_serial": int(serials[end - 1])}
            if self.made + end == int(self._ends[place]):
                note["sha256"] = self._hash.hexdigest()
                self._hash = hashlib.sha256()
            notes.append(note)
            start = end
        return notes
