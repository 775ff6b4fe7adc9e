"""Reads `promo.outcomes.v1` as a group and marks the register; tells how current the marks are."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Protocol

from services.codegen.handlers.marking import Marking
from shared.contracts.codec import InvalidEvent
from shared.contracts.sources import SourceGap
from shared.contracts.topics import OUTCOMES
from shared.environment import KafkaConnection
from shared.kafka.errors import PartitionStopped, Retryable
from shared.kafka.groups import PartitionGroup
from shared.kafka.reading import PartitionReader

GROUP: Final = "counterfoil.codegen"
BATCH_RECORDS: Final = 2_000
FETCH_SECONDS: Final = 0.5
CURRENT_SECONDS: Final = 10.0
GLANCE_SECONDS: Final = 1.0
REBUILD: Final = "counterfoil jobs run rebuild-register-marks"


def outcome_group(connection: KafkaConnection, marking: Marking) -> PartitionGroup:
    """The group that marks; a partition with a gap stops and says how to mend it."""

    async def run_partition(reader: PartitionReader) -> None:
        await _mark_partition(reader, marking)

    return PartitionGroup(connection, topic=OUTCOMES.name, group=GROUP, run_partition=run_partition)


async def _mark_partition(reader: PartitionReader, marking: Marking) -> None:
    """Folds one partition for as long as it is ours, always from the place in Postgres (rule 16)."""
    place = await _start(reader, marking)
    while True:
        records = await reader.fetch(BATCH_RECORDS, FETCH_SECONDS)
        if not records:
            continue
        values = [(record.offset, record.value or b"") for record in records]
        try:
            place = await marking.fold(reader.partition, values)
        except (SourceGap, InvalidEvent) as error:
            raise PartitionStopped(f"Outcomes of partition {reader.partition} cannot be marked: {error}.", REBUILD) from error
        reader.commit(place)
        if place != records[-1].offset + 1:
            reader.seek(place)


async def _start(reader: PartitionReader, marking: Marking) -> int:
    place = await marking.place(reader.partition)
    first, end = await reader.bounds()
    if place > end:
        raise PartitionStopped(f"The place {place} of partition {reader.partition} is past the topic's end {end}.", REBUILD)
    if place < first and place > 0:
        raise PartitionStopped(f"Outcomes {place} to {first - 1} of partition {reader.partition} are gone.", REBUILD)
    reader.seek(place)
    return place


class TopicEnds(Protocol):
    """What is needed of an inspector."""

    async def ends(self, topic: str) -> Mapping[int, int]: ...


class MarksAge:
    """How current the register's marks are, whichever copies read the partitions."""

    def __init__(self, inspector: TopicEnds, places: Callable[[], Awaitable[Mapping[int, int]]]) -> None:
        self._inspector = inspector
        self._places = places
        self._current_as_of = datetime.fromtimestamp(0, UTC)

    async def current(self) -> datetime:
        """Waits until the marks hold every outcome up to the ends of now; the moment of those ends.

        Raises Retryable when they do not get there in time.
        """
        if not await self._catch_up(CURRENT_SECONDS):
            raise Retryable("the register's marks are behind the outcomes")
        return self._current_as_of

    async def as_of(self) -> datetime:
        """The moment up to which the marks are known to be complete; does not wait for long."""
        with suppress(Retryable):
            await self._catch_up(GLANCE_SECONDS)
        return self._current_as_of

    async def _catch_up(self, seconds: float) -> bool:
        asked_at = datetime.now(UTC)
        try:
            async with asyncio.timeout(seconds):
                ends = await self._inspector.ends(OUTCOMES.name)
                while not _reached(await self._places(), ends):  # noqa: ASYNC110 (another copy may read the partition)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return False
        self._current_as_of = max(asked_at, self._current_as_of)
        return True


def _reached(places: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    return all(places.get(partition, 0) >= end for partition, end in ends.items())
