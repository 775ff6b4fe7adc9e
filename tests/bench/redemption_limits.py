"""What the limit per player costs, and what the guarantee costs, in one run."""

import os
from collections.abc import Sequence
from typing import Any

from tests.bench.redemption_stage import Measured, measure, send_backlog, services, stage, workers

EVENTS = int(os.environ.get("REDEMPTION_EVENTS", "120_000"))
UNGUARDED = ["tests.bench.redemption_unguarded"]


async def run() -> dict[str, Any]:
    """Two workers: with everything on; without a limit per player; without ledger position and outbox."""
    on, off, unguarded = await _with({"per_player": 3}), await _with({"per_player": None}), await _with(command=UNGUARDED)
    return {
        "events a second, limit per player on": round(on.rate),
        "events a second, limit per player off": round(off.rate),
        "on next to off": round(on.rate / off.rate, 2),
        "events a second, without position and outbox": round(unguarded.rate),
        "what the guarantee costs": f"{1 - on.rate / unguarded.rate:.0%}",
    }


async def _with(limits: dict[str, int | None] | None = None, command: Sequence[str] = ()) -> Measured:
    async with stage(limits) as world:
        await send_backlog(world, EVENTS)
        with workers(command, world.environment, 2) if command else services(world, 2) as processes:
            return await measure(world, EVENTS, processes)
