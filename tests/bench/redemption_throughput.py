"""Events a second from records on Kafka to outcomes on Kafka, next to what could have been written instead, in one run."""

import os
from typing import Any

from tests.bench.redemption_peers import fill_codes
from tests.bench.redemption_pgbench import events_a_second
from tests.bench.redemption_stage import CODES, Measured, backlog_for, measure, peers, services, stage
from tests.integration.redemption.world import STORES_COUNT, codes_of

EVENTS = int(os.environ.get("REDEMPTION_EVENTS", "300_000"))
WARMING_EVENTS = 100_000
"""A broker that has just started compiles its code for a while."""

PEER_EVENTS = {"plain": 2_000, "sensible": 100_000, "ruled": 100_000, "copied": 300_000}


async def run() -> dict[str, Any]:
    """One and two workers with everything on; two processes of each peer, and of a bound; pgbench over two connections."""
    await _service(1, events=WARMING_EVENTS)
    plain, sensible, ruled = await _peer("plain"), await _peer("sensible"), await _peer("ruled")
    copied = await _peer("copied")
    one, two = await _service(1), await _service(2)
    async with stage() as world:
        pgbench = await events_a_second(world)
    return {
        "events a second, one worker": round(one.rate),
        "events a second, two workers": round(two.rate),
        "µs of processor an event, one worker": round(one.microseconds, 1),
        "µs of processor an event, two workers": round(two.microseconds, 1),
        "two workers next to one": round(two.rate / one.rate, 2),
        "events a second, plain, two processes": round(plain.rate),
        "times plain": round(two.rate / plain.rate, 1),
        "events a second, sensible, two processes": round(sensible.rate),
        "times sensible": round(two.rate / sensible.rate, 1),
        "events a second, sensible with rules, two processes": round(ruled.rate),
        "times sensible with rules": round(two.rate / ruled.rate, 1),
        "events a second, pgbench, two connections": round(pgbench),
        "share of pgbench": round(two.rate / pgbench, 2),
        "events a second, read and published with nothing decided or stored, two processes": round(copied.rate),
        "that next to three times sensible": round(copied.rate / (3 * sensible.rate), 2),
        "that next to 60 % of pgbench": round(copied.rate / (0.6 * pgbench), 2),
    }


async def _service(count: int, *, events: int = EVENTS) -> Measured:
    async with stage() as world:
        with services(world, count) as processes:
            await backlog_for(world, processes, events)
            return await measure(world, events, processes)


async def _peer(way: str) -> Measured:
    async with stage() as world:
        if way == "ruled":
            await fill_codes(world.database_url, _rows_of_codes())
        with peers(world, way, 2) as processes:
            await backlog_for(world, processes, PEER_EVENTS[way])
            return await measure(world, PEER_EVENTS[way], processes)


def _rows_of_codes() -> list[tuple[str, str, str]]:
    each = CODES // STORES_COUNT
    return [(code, "spring", f"s-{number // each}") for number, code in enumerate(codes_of(range(1, CODES + 1)))]
