"""Events a second from records on Kafka to outcomes on Kafka, next to the plain way, in one run."""

from typing import Any

from tests.bench.redemption_stage import cpu_seconds, outcomes_a_second, peers, send_backlog, services, stage

EVENTS = 100_000
PLAIN_EVENTS = 2_000


async def run() -> dict[str, Any]:
    """One and two workers with everything on; two processes of: one record, one INSERT, one send, one commit."""
    figures: dict[str, Any] = {}
    for count in (1, 2):
        async with stage() as world:
            await send_backlog(world, EVENTS)
            with services(world, count) as processes:
                figures[f"events a second, workers: {count}"] = round(await outcomes_a_second(world, EVENTS))
                figures[f"µs of processor an event, workers: {count}"] = round(cpu_seconds(processes) / EVENTS * 1e6, 1)
    async with stage() as world:
        await send_backlog(world, PLAIN_EVENTS)
        with peers(world, "plain", 2):
            figures["events a second, the plain way, processes: 2"] = round(await outcomes_a_second(world, PLAIN_EVENTS))
    plain = figures["events a second, the plain way, processes: 2"]
    figures["times the plain way"] = round(figures["events a second, workers: 2"] / plain, 1)
    return figures
