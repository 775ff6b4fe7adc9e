"""FF1 as SP 800-38G writes it (algorithms 7 and 8), numeral by numeral in plain integers: any radix, tweak and key size.

Written apart from shared.codes.ff1 and slow on purpose: it is what the fast one is compared with.
"""

from collections.abc import Sequence
from math import ceil, log2

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def number_of(numerals: Sequence[int], radix: int) -> int:
    number = 0
    for numeral in numerals:
        number = number * radix + numeral
    return number


def numerals_of(number: int, length: int, radix: int) -> list[int]:
    numerals = []
    for _ in range(length):
        number, numeral = divmod(number, radix)
        numerals.append(numeral)
    return numerals[::-1]


class ReferenceFf1:
    def __init__(self, key: bytes, radix: int, tweak: bytes = b"") -> None:
        self._aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
        self._radix = radix
        self._tweak = tweak

    def encrypt(self, numerals: Sequence[int]) -> list[int]:
        n = len(numerals)
        left, right = list(numerals[: n // 2]), list(numerals[n // 2 :])
        for i in range(10):
            m = n // 2 if i % 2 == 0 else n - n // 2
            c = (number_of(left, self._radix) + self._y(n, i, right)) % self._radix**m
            left, right = right, numerals_of(c, m, self._radix)
        return left + right

    def decrypt(self, numerals: Sequence[int]) -> list[int]:
        n = len(numerals)
        left, right = list(numerals[: n // 2]), list(numerals[n // 2 :])
        for i in range(9, -1, -1):
            m = n // 2 if i % 2 == 0 else n - n // 2
            c = (number_of(right, self._radix) - self._y(n, i, left)) % self._radix**m
            left, right = numerals_of(c, m, self._radix), left
        return left + right

    def _y(self, n: int, i: int, half: Sequence[int]) -> int:
        u, v, t = n // 2, n - n // 2, len(self._tweak)
        b = ceil(ceil(v * log2(self._radix)) / 8)
        d = 4 * ceil(b / 4) + 4
        p = (
            bytes([1, 2, 1])
            + self._radix.to_bytes(3, "big")
            + bytes([10, u % 256])
            + n.to_bytes(4, "big")
            + t.to_bytes(4, "big")
        )
        q = self._tweak + bytes((-t - b - 1) % 16) + bytes([i]) + number_of(half, self._radix).to_bytes(b, "big")
        r = self._prf(p + q)
        s = r + b"".join(self._aes(_xor(r, j.to_bytes(16, "big"))) for j in range(1, ceil(d / 16)))
        return int.from_bytes(s[:d], "big")

    def _prf(self, message: bytes) -> bytes:
        y = bytes(16)
        for start in range(0, len(message), 16):
            y = self._aes(_xor(y, message[start : start + 16]))
        return y


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))
