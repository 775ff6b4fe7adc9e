"""Ten batches of two million: the cost of a code does not grow as the register does."""

import json

from tests.bench.codegen_process import Figures, bench_codegen

CODES = 2_000_000
BATCHES = 10


def run() -> dict[str, object]:
    """Seconds of each batch, and the last against the first."""
    return bench_codegen(_measure)


async def _measure(figures: Figures) -> dict[str, object]:
    await figures.published(100_000, 500)
    seconds = [await figures.published(CODES, 500) for _ in range(BATCHES)]
    return {
        "codes_a_batch": CODES,
        "seconds": [round(s, 2) for s in seconds],
        "last_two_to_first_two": round(sum(seconds[-2:]) / sum(seconds[:2]), 2),
    }


if __name__ == "__main__":
    print(json.dumps(run()))
