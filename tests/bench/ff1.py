"""FF1 from integer to integer on one core, next to AES-ECB of ten blocks a code by the same library, in turn."""

import json
import time
from statistics import median

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from shared.codes.ff1 import Ff1

CODES = 2_000_000
ROUNDS = 5
KEY = bytes(range(32))


def run() -> dict[str, float]:
    """Seconds for two million codes each way, and the ratio; at most 4 is the aim."""
    ff1_seconds, aes_seconds = [], []
    for _ in range(ROUNDS):
        ff1_seconds.append(_time_ff1())
        aes_seconds.append(_time_aes())
    ratios = [a / b for a, b in zip(ff1_seconds, aes_seconds, strict=True)]
    return {
        "codes": CODES,
        "codes_per_second": round(CODES / median(ff1_seconds)),
        "ff1_to_ten_aes_blocks": round(median(ratios), 2),
    }


def _time_ff1() -> float:
    serials = np.arange(1, CODES + 1, dtype=np.int64)
    ff1 = Ff1(KEY)
    started = time.perf_counter()
    ff1.encrypt(serials)
    return time.perf_counter() - started


def _time_aes() -> float:
    encryptor = Cipher(algorithms.AES(KEY), modes.ECB()).encryptor()
    codes_at_once = 10_000
    blocks, out = bytes(160 * codes_at_once), bytearray(160 * codes_at_once + 15)
    started = time.perf_counter()
    for _ in range(CODES // codes_at_once):
        encryptor.update_into(blocks, out)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps(run()))
