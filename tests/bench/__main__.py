"""`make bench`: runs the benchmarks, each next to its peer in the same run, and prints ratios.

A benchmark is a module of this folder with `run()`, plain or async, that returns its figures by name. `make bench
ARGS="codegen_million ff1"` runs only those. Machines are noisy: quote ratios, and never make a test of one.
"""

import asyncio
import importlib
import inspect
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.servers import session_kafka, session_postgres


def main(names: list[str]) -> int:
    """Runs the named benchmarks (all by default) on one pair of servers; the status is 1 when one failed."""
    available = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if _is_benchmark(path))
    unknown = set(names) - set(available)
    if unknown:
        print(f"there is no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(available)}", file=sys.stderr)
        return 2
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}", flush=True)
    failed = False
    with session_kafka() as kafka, session_postgres() as postgres:
        os.environ.update(COUNTERFOIL_TEST_KAFKA=kafka, COUNTERFOIL_TEST_POSTGRES=postgres)
        for name in names or available:
            failed |= not _run(name)
    return int(failed)


def _is_benchmark(path: Path) -> bool:
    text = path.read_text()
    return not path.name.startswith("_") and ("\ndef run(" in text or "\nasync def run(" in text)


def _run(name: str) -> bool:
    started = time.perf_counter()
    try:
        figures: Any = importlib.import_module(f"tests.bench.{name}").run()
        if inspect.isawaitable(figures):
            figures = asyncio.run(_wait(figures))
    except Exception as error:
        print(f"\n{name}: failed: {type(error).__name__}: {error}", flush=True)
        return False
    print(f"\n{name} ({time.perf_counter() - started:.0f} s)")
    for figure, value in figures.items():
        print(
            f"  {figure:<45} {value:,}" if isinstance(value, int | float) else f"  {figure:<45} {json.dumps(value)}", flush=True
        )
    return True


async def _wait(figures: Any) -> Any:
    return await figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
