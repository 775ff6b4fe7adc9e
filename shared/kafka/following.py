"""Following whole topics without a group: reference data into memory, and every copy's own view of the outcomes.

A follower knows how fresh it is: it asks the broker for the ends of its topics, and is "at the ends as of t" once it has
applied everything below the ends that it asked for at t. That stays right when the process is stopped for a while, which
the time of the last fetch does not.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from shared.environment import KafkaConnection
from shared.kafka import clients
from shared.kafka.errors import Retryable
from shared.kafka.pauses import growing_pauses
from shared.kafka.records import Record
from shared.telemetry import metrics

MEASURE_SECONDS: Final = 0.25
MAX_RECORDS: Final = 5_000

Apply = Callable[[int, Sequence[Record]], None]
"""Takes a partition's next records, in order. Must not wait: what it changes is seen by the whole process at once."""

AGE: Final = metrics.gauge("topic_age_seconds", "How long ago the topic was known to be read to its end", ("topic",))

StartAt = Callable[[str, int, int, int], int]
"""(topic, partition, first offset held, end) to the offset to start from."""

log = structlog.get_logger(__name__)


def from_the_beginning(_topic: str, _partition: int, first: int, _end: int) -> int:
    return first


def from_the_end(_topic: str, _partition: int, _first: int, end: int) -> int:
    return end


@dataclass(slots=True)
class _Followed:
    """A partition that is followed. Times are of the monotonic clock; -inf before the first."""

    topic: str
    partition: int
    position: int
    end: int
    at_end_as_of: float = float("-inf")


class TopicFollower:
    """Reads all partitions of some topics into callbacks, for as long as `run` runs.

    `run` reconnects by itself and goes on where it was, after a pause that grows until it has been at the ends again; an
    exception of a callback other than Retryable ends it. Partitions that are added later are followed from their beginning.
    """

    def __init__(
        self, connection: KafkaConnection, topics: Mapping[str, Apply], *, start_at: StartAt = from_the_beginning
    ) -> None:
        self._connection = connection
        self._apply = dict(topics)
        self._start_at = start_at
        self._followed: dict[TopicPartition, _Followed] = {}
        self._at_end_as_of: dict[str | None, float] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._progress = asyncio.Condition()
        self._pauses = growing_pauses()

    async def run(self) -> None:
        """Follows until it is cancelled."""
        for topic in self._apply:
            AGE.labels(topic).set_function(partial(self.seconds_since_end, topic))
        while True:
            try:
                await self._follow_once()
            except Retryable as error:
                pause = next(self._pauses)
                log.warning("following is interrupted", topics=list(self._apply), error=str(error), pause_seconds=pause)
                await asyncio.sleep(pause)

    async def wait_loaded(self) -> None:
        """Returns when every topic has been applied up to an end that was asked for after the start."""
        await self._wait_until(lambda: bool(self._followed) and self.seconds_since_end() < float("inf"))

    def seconds_since_end(self, topic: str | None = None) -> float:
        """How long ago the topic (or the least fresh of all) was known to be applied to its end; infinite before the first."""
        as_of = self._at_end_as_of.get(topic)
        if as_of is None:
            as_of = self._at_end_as_of[topic] = self._least_fresh(topic)
        return time.monotonic() - as_of

    def _least_fresh(self, topic: str | None) -> float:
        followed = [f for f in self._followed.values() if topic in (None, f.topic)]
        if not followed or {f.topic for f in followed} != ({topic} if topic else set(self._apply)):
            return float("-inf")
        return min(f.at_end_as_of for f in followed)

    async def read_to_end(self, topic: str, *, as_of: float) -> None:
        """Returns when the topic is applied up to its end as of a moment of the monotonic clock, asking only where needed.

        Waits for as long as Kafka is away: put a timeout around it where a caller must have an answer.
        """
        while time.monotonic() - self.seconds_since_end(topic) < as_of:
            try:
                await self._measure([tp for tp, f in self._followed.items() if f.topic == topic])
            except Retryable:
                await asyncio.sleep(MEASURE_SECONDS)

    async def wait_fresh(self, max_age_seconds: float) -> None:
        """Returns when all topics were at their ends within the last `max_age_seconds`."""
        if self.seconds_since_end() > max_age_seconds:
            await self._wait_until(lambda: self.seconds_since_end() <= max_age_seconds)

    def lag(self) -> int:
        """Records between what is applied and the ends that were last asked for."""
        return sum(max(0, f.end - f.position) for f in self._followed.values())

    def position(self, topic: str, partition: int) -> int | None:
        """The offset of the next record to be applied, or None while the partition is not followed."""
        followed = self._followed.get(TopicPartition(self._connection.physical(topic), partition))
        return followed.position if followed else None

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        async with self._progress:
            await self._progress.wait_for(condition)

    async def _follow_once(self) -> None:
        consumer = clients.consumer(self._connection, fetch_max_wait_ms=100)
        try:
            with clients.outside():
                await consumer.start()
            await self._assign(consumer)
            self._consumer = consumer
            await _first_to_end(self._fetch_until_partitions_change(consumer), self._measure_regularly())
        finally:
            self._consumer = None
            await _stop_quietly(consumer)

    async def _assign(self, consumer: AIOKafkaConsumer) -> None:
        with clients.outside():
            partitions = await self._known_partitions(consumer)
            consumer.assign(partitions)
            first, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        known_topics = {followed.topic for followed in self._followed.values()}
        for tp in partitions:
            followed = self._followed.get(tp)
            if followed is None:
                topic = self._connection.logical(tp.topic)
                is_new = topic in known_topics
                start = first[tp] if is_new else self._start_at(topic, tp.partition, first[tp], ends[tp])
                followed = self._followed[tp] = _Followed(topic, tp.partition, start, ends[tp])
                self._at_end_as_of.clear()
            elif not first[tp] <= followed.position <= ends[tp]:
                log.warning("the log does not hold the place", topic=followed.topic, partition=tp.partition)
                followed.position = first[tp]
            consumer.seek(tp, followed.position)

    async def _known_partitions(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        names = [self._connection.physical(topic) for topic in self._apply]
        found = []
        for name in names:
            partitions = consumer.partitions_for_topic(name) or await self._ask_for_partitions(consumer, name)
            found += [TopicPartition(name, partition) for partition in sorted(partitions)]
        return found

    async def _ask_for_partitions(self, consumer: AIOKafkaConsumer, name: str) -> set[int]:
        await consumer._client.add_topic(name)  # noqa: SLF001 (there is no public way to ask before assigning)
        partitions: set[int] | None = consumer.partitions_for_topic(name)
        if not partitions:
            raise Retryable(f"the topic {name} is not there; make it with `counterfoil topics`")
        return partitions

    async def _fetch_until_partitions_change(self, consumer: AIOKafkaConsumer) -> None:
        assigned = len(consumer.assignment())
        while not self._has_new_partitions(consumer, assigned):
            try:
                with clients.outside():
                    fetched = await consumer.getmany(timeout_ms=100, max_records=MAX_RECORDS)
            except Retryable as error:
                if isinstance(error.__cause__, OffsetOutOfRangeError):
                    return
                raise
            for tp, records in fetched.items():
                self._take(self._followed[tp], records)
            if fetched:
                await asyncio.sleep(0)
            async with self._progress:
                self._progress.notify_all()

    def _take(self, followed: _Followed, records: Sequence[Record]) -> None:
        fresh = [record for record in records if record.offset >= followed.position]
        if fresh:
            self._apply[followed.topic](followed.partition, fresh)
            followed.position = fresh[-1].offset + 1

    def _has_new_partitions(self, consumer: AIOKafkaConsumer, assigned: int) -> bool:
        names = [self._connection.physical(topic) for topic in self._apply]
        return sum(len(consumer.partitions_for_topic(name) or ()) for name in names) > assigned

    async def _measure_regularly(self) -> None:
        while True:
            await self._measure(list(self._followed))
            await asyncio.sleep(MEASURE_SECONDS)

    async def _measure(self, partitions: list[TopicPartition]) -> None:
        """Asks for the ends, waits until everything below them is applied, and notes as of when."""
        if self._consumer is None or not partitions:
            raise Retryable("Kafka is away")
        asked_at = time.monotonic()
        with clients.outside():
            ends = await self._consumer.end_offsets(partitions)
        for tp, end in ends.items():
            self._followed[tp].end = end
        consumer = self._consumer
        await self._wait_until(
            lambda: self._consumer is not consumer or all(self._followed[tp].position >= end for tp, end in ends.items())
        )
        if self._consumer is not consumer:
            raise Retryable("Kafka is away")
        self._pauses = growing_pauses()
        for tp in partitions:
            self._followed[tp].at_end_as_of = max(asked_at, self._followed[tp].at_end_as_of)
        self._at_end_as_of.clear()
        async with self._progress:
            self._progress.notify_all()


async def _first_to_end(*coroutines: Awaitable[None]) -> None:
    """Runs them together until one ends, and passes on how it ended."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.cancelled():
                raise Retryable("Kafka: the client gave a request up")
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _stop_quietly(consumer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(3):
            with clients.outside():
                await consumer.stop()
    except (Retryable, TimeoutError) as error:
        log.warning("consumer did not stop in time", error=str(error))
