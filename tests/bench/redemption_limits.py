"""What the limit per player costs, and what the guarantee costs, in one run."""

import os
from collections.abc import Sequence
from typing import Any

from tests.bench.redemption_stage import Measured, measure, send_backlog, stage, workers
from tests.bench.redemption_unguarded import MOVES_NOTHING

EVENTS = int(os.environ.get("REDEMPTION_EVENTS", "120_000"))
WARMING_EVENTS = 20_000
SERVICE = ["services.redemption"]
UNGUARDED = ["tests.bench.redemption_unguarded"]


async def run() -> dict[str, Any]:
    """One worker: with everything on; without a limit per player; without ledger position and outbox.

    One, because a worker without a position must keep its partitions to the end: nobody could go on where it was.
    """
    await _with(events=WARMING_EVENTS)
    on, off, unguarded = await _with(), await _with({"per_player": None}), await _with(command=UNGUARDED)
    return {
        "events a second, limit per player on": round(on.rate),
        "events a second, limit per player off": round(off.rate),
        "on next to off": round(on.rate / off.rate, 2),
        "events a second, without position and outbox": round(unguarded.rate),
        "what the guarantee costs": f"{1 - on.rate / unguarded.rate:.0%}",
    }


async def _with(
    limits: dict[str, int | None] | None = None, *, command: Sequence[str] = SERVICE, events: int = EVENTS
) -> Measured:
    async with stage(limits) as world:
        if command == UNGUARDED:
            await world.query(MOVES_NOTHING)
        await send_backlog(world, events)
        with workers(command, world.environment, 1) as processes:
            return await measure(world, events, processes)
