"""Five million codes, next to the naive load: random texts, COPY into a table whose unique index is in place."""

import json
import time
from collections.abc import AsyncIterator

import asyncpg
import numpy as np

from shared.codes.alphabet import CODE_LENGTH, DOMAIN, values_to_texts
from tests.bench.codegen_process import Figures, bench_codegen

CODES = 5_000_000
BLOCK = 100_000


def run() -> dict[str, object]:
    """Seconds of both and their ratio; at most a sixth is the aim."""
    return bench_codegen(_measure)


async def _measure(figures: Figures) -> dict[str, object]:
    ours = await figures.published(CODES, 500)
    naive = await _naive(figures.database_url)
    return {
        "codes": CODES,
        "request_to_published_seconds": round(ours, 2),
        "naive_seconds": round(naive, 2),
        "ratio": round(ours / naive, 3),
    }


async def _naive(url: str) -> float:
    connection = await asyncpg.connect(url, server_settings={"search_path": "codegen"})
    try:
        await connection.execute("CREATE TABLE naive (code text UNIQUE, batch_number integer, store_number integer)")
        started = time.perf_counter()
        await connection.copy_to_table("naive", source=_random_rows(), format="text")
        return time.perf_counter() - started
    finally:
        await connection.close()


async def _random_rows() -> AsyncIterator[bytes]:
    random = np.random.default_rng(7)
    tail = np.frombuffer(b"\t1\t1\n", dtype=np.uint8)
    for _ in range(CODES // BLOCK):
        lines = np.empty((BLOCK, CODE_LENGTH + len(tail)), dtype=np.uint8)
        lines[:, :CODE_LENGTH] = values_to_texts(random.integers(0, DOMAIN, BLOCK))
        lines[:, CODE_LENGTH:] = tail
        yield lines.tobytes()


if __name__ == "__main__":
    print(json.dumps(run()))
