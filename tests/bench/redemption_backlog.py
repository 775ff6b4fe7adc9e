"""A large backlog next to a small one: the rate must stay, and the memory must not grow with it."""

import os
from typing import Any

from tests.bench.redemption_stage import Measured, measure, send_backlog, services, stage

BACKLOG = int(os.environ.get("REDEMPTION_BACKLOG", "2_000_000"))
STEADY = int(os.environ.get("REDEMPTION_EVENTS", "150_000"))


async def run() -> dict[str, Any]:
    """One worker. `REDEMPTION_BACKLOG=300000` for a shorter one."""
    steady, backlog = await _decide(STEADY), await _decide(BACKLOG)
    return {
        f"events a second, {STEADY:,}": round(steady.rate),
        f"events a second, {BACKLOG:,}": round(backlog.rate),
        "share of the steady rate": round(backlog.rate / steady.rate, 2),
        "most memory of the worker, MB": round(backlog.megabytes),
    }


async def _decide(events: int) -> Measured:
    codes = max(events, 1_000_000)
    async with stage(codes=codes) as world:
        await send_backlog(world, events, codes=codes)
        with services(world, 1) as processes:
            return await measure(world, events, processes)
