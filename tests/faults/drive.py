"""Sending a stream and waiting until all of it is decided."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from shared.contracts.topics import REQUESTS
from shared.kafka.records import NewRecord
from tests.faults.checker import Checked, check
from tests.faults.copies import Copies
from tests.faults.traffic import Event
from tests.integration.redemption.world import CODES, World, codes_of
from tests.support.polling import poll_until


async def send_all(world: World, events: Sequence[tuple[int, Event]], *, chunk: int = 200, pause_seconds: float = 0.0) -> None:
    """Writes a stream in chunks, spread over the partitions as it says, in order."""
    partitions = await world.inspector.partitions(REQUESTS.name)
    for start in range(0, len(events), chunk):
        by_partition: dict[int, list[NewRecord]] = defaultdict(list)
        for place, event in events[start : start + chunk]:
            by_partition[place % partitions].append(_record(event))
        for partition, records in by_partition.items():
            await world.publisher.publish_batch(REQUESTS.name, partition, records)
        await asyncio.sleep(pause_seconds)


async def undecided(world: World) -> int:
    """Records that no place has passed yet."""
    ends = await world.inspector.ends(REQUESTS.name)
    places = {row["partition"]: row["position"] for row in await world.query("SELECT partition, position FROM positions")}
    return sum(end - places.get(partition, 0) for partition, end in ends.items())


async def moving_on(world: World, below: int, *, deadline_seconds: float = 60.0) -> None:
    """Returns when fewer than that many are undecided."""

    async def far_enough() -> bool:
        return await undecided(world) < below

    await poll_until(far_enough, deadline_seconds, every_seconds=0.02, what="the stream moving on")


async def wait_decided(world: World, copies: Copies, deadline_seconds: float = 60.0) -> None:
    """Returns when every record is decided and its outcome is published."""

    async def done() -> bool:
        return await undecided(world) == 0 and await all_published(world)

    try:
        await poll_until(done, deadline_seconds, every_seconds=0.2, what="all being decided")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{copies.text()[-6_000:]}") from None


async def check_world(world: World, copies: Copies) -> Checked:
    """The independent checker, with the copies' logs searched for codes."""
    return await check(world, logs=copies.logs, codes=codes_of(range(1, CODES, 7)))


async def all_published(world: World) -> bool:
    """Whether the outcome of the last record that was decided is on the topic, for every partition."""
    for row in await world.query(
        "SELECT partition, last_source ->> 'offset' AS at FROM positions WHERE last_source IS NOT NULL"
    ):
        outcomes = await world.outcomes(row["partition"])
        if not outcomes or outcomes[-1].source.offset < int(row["at"]):
            return False
    return True


def _record(event: Event) -> NewRecord:
    if event is None or isinstance(event, bytes):
        return NewRecord(b"nonsense", event)
    return NewRecord(str(event.get("code") or event.get("reverses")).encode(), msgspec.json.encode(event))
