"""One million codes from the request to published, next to a bare binary COPY of the same rows plus the same primary key."""

import json

from tests.bench.codegen_process import Figures, bench_codegen

CODES = 1_000_000
STORES = 500


def run() -> dict[str, object]:
    """Seconds of both, and their ratio; at most 2 is the aim."""
    return bench_codegen(_measure)


async def _measure(figures: Figures) -> dict[str, object]:
    ours = [await figures.published(CODES, STORES) for _ in range(3)]
    bare = [await figures.bare_copy(CODES, STORES) for _ in range(3)]
    return {
        "codes": CODES,
        "stores": STORES,
        "request_to_published_seconds": round(min(ours), 2),
        "bare_copy_and_key_seconds": round(min(bare), 2),
        "ratio": round(min(ours) / min(bare), 2),
        "codes_per_second": round(CODES / min(ours)),
    }


if __name__ == "__main__":
    print(json.dumps(run()))
