"""Five million codes as CSV over HTTP, next to `psql \\copy (select …) to` of the same rows without decryption."""

import json
import tempfile
import time
from pathlib import Path

from tests.bench.codegen_process import Figures, bench_codegen

CODES = 5_000_000
STORES = 500
CHUNK = 1 << 20


def run() -> dict[str, object]:
    """Seconds of both and their ratio (at most 2), best of two each, in turn."""
    return bench_codegen(_measure)


async def _measure(figures: Figures) -> dict[str, object]:
    await figures.published(CODES, STORES)
    before = figures.resident_megabytes("VmRSS")
    ours, plain = [], []
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "codes.csv"
        select = "SELECT c.serial, s.id FROM codes c JOIN stores s ON s.number = c.store_number ORDER BY c.serial"
        for _ in range(2):
            ours.append(await _download(figures, target))
            plain.append(await figures.psql(f"\\copy ({select}) TO '{target}' CSV"))
    return {
        "codes": CODES,
        "export_seconds": round(min(ours), 2),
        "psql_copy_to_seconds": round(min(plain), 2),
        "ratio": round(min(ours) / min(plain), 2),
        "megabytes_more_while_exporting": round(figures.resident_megabytes() - before, 1),
    }


async def _download(figures: Figures, target: Path) -> float:
    async with figures.session.get("/v1/batches") as response:
        batch_id = (await response.json())["items"][0]["id"]
    started, lines = time.perf_counter(), 0
    async with figures.session.get(f"/v1/batches/{batch_id}/codes.csv", headers={"Accept-Encoding": "identity"}) as response:
        with target.open("wb") as file:
            async for chunk in response.content.iter_chunked(CHUNK):
                file.write(chunk)
                lines += chunk.count(b"\n")
    seconds = time.perf_counter() - started
    assert lines == CODES + 2, lines
    return seconds


if __name__ == "__main__":
    print(json.dumps(run()))
