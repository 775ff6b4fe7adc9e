"""How much memory processes hold while something is done."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import psutil

LOOK_SECONDS = 0.02

T = TypeVar("T")


def resident(process: psutil.Process) -> int:
    """Bytes of a process and of those that it started; one that ends meanwhile counts as none."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += each.memory_info().rss
    return total


async def peak_while(process: psutil.Process, work: Callable[[], Awaitable[T]]) -> tuple[int, T]:
    """The most that was held at once while the work was done, and what it gave."""
    peak = resident(process)

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, await asyncio.to_thread(resident, process))
            await asyncio.sleep(LOOK_SECONDS)

    watching = asyncio.create_task(watch(), name="watch memory")
    try:
        done = await work()
    finally:
        watching.cancel()
    return peak, done
