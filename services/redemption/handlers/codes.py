"""Reading codes: text to serial by computing, serial to batch and store by range, for a whole batch of records at once."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from services.redemption.domain.catalogue import Catalogue
from services.redemption.domain.requests import MALFORMED, CodeReading, CodeState
from shared.codes.alphabet import CODE_LENGTH, GROUP, hint, parse_codes, to_text, values_to_texts
from shared.codes.decoding import NOWHERE, Decoder, ReservedRange, ReservedRanges
from shared.codes.ff1 import Ff1
from shared.codes.key_ring import KeyRing
from shared.codes.words import NO_WORDS, UnknownWordList, contains_word
from shared.contracts.codegen import Batch, BatchState

_HIDDEN: Final = hint("?" * CODE_LENGTH)[GROUP:]
_NO_VALUES: Final = np.zeros(0, dtype=np.int64)


class UnreadableBatch(Exception):  # noqa: N818
    """A published batch's codes cannot be read here. The process must end: it would call good codes unknown."""


class CodeReader:
    """Reads codes by the key ring and the catalogue. Holds the ciphers' buffers: for one thread."""

    def __init__(self, keys: KeyRing, catalogue: Catalogue) -> None:
        self._keys = keys
        self._catalogue = catalogue
        self._decoder = Decoder(keys)
        self._batches: list[Batch] = []
        self._ranges = ReservedRanges(())
        self._version = 0

    def require(self, batch: Batch) -> None:
        """Raises UnreadableBatch for a batch of a key that is missing or another under its id, or of an unknown word list."""
        key = self._keys.by_id(batch.key_id)
        if key is None:
            raise UnreadableBatch(
                f"the batch {batch.id} was made with the key {batch.key_id}, which CODE_KEYS_FILE does not hold"
            )
        if key.check_value != batch.key_check:
            raise UnreadableBatch(
                f"the key {batch.key_id} in CODE_KEYS_FILE is not the one that the batch {batch.id} was made with"
            )
        try:
            contains_word(_NO_VALUES, batch.words)
        except UnknownWordList:
            raise UnreadableBatch(
                f"the batch {batch.id} skips the words of list {batch.words!r}, which is newer than this program: update it"
            ) from None

    def read(self, texts: Sequence[str]) -> list[CodeReading]:
        """What each text leads to, in their order: serial by computing, batch and store by range, skipped ones nowhere."""
        if not texts:
            return []
        self._renew_ranges()
        values, well_formed = parse_codes(texts)
        decoded = self._decoder.decode(self._ranges, values)
        decoded.ranges[decoded.skipped | ~well_formed] = NOWHERE
        signs = values_to_texts(values).tobytes().decode()
        return [
            self._reading(place, serial, signs[start : start + GROUP] + _HIDDEN) if fine else MALFORMED
            for place, serial, fine, start in zip(
                decoded.ranges.tolist(),
                decoded.serials.tolist(),
                well_formed.tolist(),
                range(0, len(signs), CODE_LENGTH),
                strict=True,
            )
        ]

    def hint_of(self, serial: int, batch: Batch) -> str | None:
        """What may be shown of the code of a serial."""
        key = self._keys.by_id(batch.key_id)
        if key is None:
            return None
        return hint(to_text(int(Ff1(key.key).encrypt(np.array([serial], dtype=np.int64))[0])))

    def _reading(self, place: int, serial: int, text: str) -> CodeReading:
        if place != NOWHERE:
            batch = self._batches[place]
            store_id = self._catalogue.store_id_of(batch, serial)
            if store_id is not None:
                return CodeReading(state=CodeState.ISSUED, hint=text, serial=serial, batch=batch, store_id=store_id)
        return CodeReading(state=CodeState.UNKNOWN, hint=text)

    def _renew_ranges(self) -> None:
        if self._version != self._catalogue.batches_version:
            self._batches = list(self._catalogue.batches.values())
            self._ranges = ReservedRanges(
                ReservedRange(key_id=b.key_id, first=b.first_serial, last=b.last_serial, words=_words_of(b))
                for b in self._batches
            )
            self._version = self._catalogue.batches_version


def _words_of(batch: Batch) -> str:
    """No code of a batch that is not published is good, whatever it holds; its list may be newer than this program."""
    return batch.words if batch.state is BatchState.PUBLISHED else NO_WORDS
