"""FF1 of NIST SP 800-38G over AES, radix 32, nine numerals, empty tweak, for whole arrays at once.

With these parameters (section 5.1, algorithm 7 and 8): u = 4 and v = 5 numerals, b = 4 bytes, d = 8 bytes, and the pseudorandom
function of each of the ten rounds is AES(AES(P) xor Q): P does not change, Q is one block. A power of two as radix makes every
"mod radix^m" a mask, and a carry out of 64 bits harmless.
"""

from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from shared.codes.alphabet import CODE_LENGTH, DOMAIN, Values

ROUNDS: Final = 10
BLOCK_BYTES: Final = 16
CHUNK: Final = 8_192
"""Codes at a time: the block buffers (128 KiB each) stay in the second-level cache, and memory is flat."""

_LEFT_BITS: Final = 20
_RIGHT_BITS: Final = 25
_LEFT_MASK: Final = np.uint64((1 << _LEFT_BITS) - 1)
_RIGHT_MASK: Final = np.uint64((1 << _RIGHT_BITS) - 1)
_SHIFT: Final = np.uint64(_RIGHT_BITS)

# P = 1, 2, 1, radix in 3 bytes, 10, u mod 256, n in 4 bytes, length of the tweak in 4 bytes (algorithm 7, step 5)
_P: Final = bytes([1, 2, 1]) + (32).to_bytes(3, "big") + bytes([10, 4]) + CODE_LENGTH.to_bytes(4, "big") + bytes(4)

Halves = NDArray[np.uint64]


class Ff1:
    """The permutation of 0 … 32^9 - 1 under one key (16, 24 or 32 bytes; Counterfoil uses 32). Not safe for several threads."""

    def __init__(self, key: bytes) -> None:
        # ECB of single, different blocks is the bare AES that FF1 is defined over (section 4.3), not a mode for messages.
        self._aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
        encrypted_p = self._aes.update(_P)
        self._first_word = np.frombuffer(encrypted_p[:8], dtype=np.uint64)[0]
        self._second_word = np.uint64(int.from_bytes(encrypted_p[8:], "big"))
        self._blocks = np.empty((CHUNK, 2), dtype=np.uint64)
        self._blocks[:, 0] = self._first_word
        self._result = np.empty(CHUNK * BLOCK_BYTES + BLOCK_BYTES - 1, dtype=np.uint8)

    def encrypt(self, values: Values) -> Values:
        """int64[n] to int64[n]. Raises ValueError for a value outside of 0 … 32^9 - 1."""
        return self._in_chunks(values, encrypting=True)

    def decrypt(self, values: Values) -> Values:
        """The inverse of `encrypt`."""
        return self._in_chunks(values, encrypting=False)

    def _in_chunks(self, values: Values, *, encrypting: bool) -> Values:
        if len(values) and (int(values.min()) < 0 or int(values.max()) >= DOMAIN):
            message = f"values must lie between 0 and {DOMAIN - 1}"
            raise ValueError(message)
        out = np.empty(len(values), dtype=np.int64)
        work = self._encrypt_chunk if encrypting else self._decrypt_chunk
        for start in range(0, len(values), CHUNK):
            chunk = values[start : start + CHUNK].astype(np.uint64)
            out[start : start + CHUNK] = work(chunk).view(np.int64)
        return out

    def _encrypt_chunk(self, values: Halves) -> Halves:
        left, right = values >> _SHIFT, values & _RIGHT_MASK
        for number in range(ROUNDS):
            mask = _RIGHT_MASK if number % 2 else _LEFT_MASK
            left, right = right, (left + self._round(number, right)) & mask
        return (left << _SHIFT) | right

    def _decrypt_chunk(self, values: Halves) -> Halves:
        left, right = values >> _SHIFT, values & _RIGHT_MASK
        for number in reversed(range(ROUNDS)):
            mask = _RIGHT_MASK if number % 2 else _LEFT_MASK
            left, right = (right - self._round(number, left)) & mask, left
        return (left << _SHIFT) | right

    def _round(self, number: int, half: Halves) -> NDArray[np.uint32]:
        """The low 32 bits of y (step 6iii): Q holds the round's number in byte 11 and the half in the last four."""
        count = len(half)
        blocks = self._blocks[:count]
        np.bitwise_xor(half, self._second_word ^ np.uint64(number << 32), out=blocks[:, 1])
        blocks[:, 1].byteswap(inplace=True)
        self._aes.update_into(blocks.view(np.uint8).reshape(-1).data, self._result.data)
        words = self._result[: count * BLOCK_BYTES].view(">u4")
        return words[1::4].astype(np.uint32)
