"""Looking into a log: its bounds, single records, offsets by time, and how far a group says it is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.environment import KafkaConnection
from shared.kafka import clients
from shared.kafka.errors import Retryable
from shared.kafka.records import Record

READ_TIMEOUT_SECONDS: Final = 15.0


class LogInspector:
    """Reads parts of a log without belonging to a group. One task at a time is served, the others wait."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._consumer: AIOKafkaConsumer | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drop_client()

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has; 0 when it is not there."""
        async with self._turn, clients_outside(self):
            consumer = await self._started()
            name = self._connection.physical(topic)
            await consumer._client.add_topic(name)  # noqa: SLF001 (there is no public way to ask before assigning)
            return len(consumer.partitions_for_topic(name) or ())

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset held and the end."""
        async with self._turn, clients_outside(self):
            consumer = await self._started()
            return await self._bounds(consumer, TopicPartition(self._connection.physical(topic), partition))

    async def record_at(self, topic: str, partition: int, offset: int) -> Record | None:
        """The record at this offset, None where the log does not hold it."""
        records = [record async for record in self.read(topic, partition, offset, offset + 1)]
        return records[0] if records and records[0].offset == offset else None

    async def last_record(self, topic: str, partition: int) -> Record | None:
        """The record before the end, None for an empty log."""
        first, end = await self.bounds(topic, partition)
        return await self.record_at(topic, partition, end - 1) if end > first else None

    async def read(self, topic: str, partition: int, start: int, end: int | None = None) -> AsyncIterator[Record]:
        """The records held from `start` up to before `end` (the log's end of now by default), in order.

        Holds the inspector until it is exhausted or closed. Raises Retryable when nothing comes for fifteen seconds.
        """
        async with self._turn, clients_outside(self):
            consumer = await self._started()
            tp = TopicPartition(self._connection.physical(topic), partition)
            first, log_end = await self._bounds(consumer, tp)
            position, stop = max(start, first), min(log_end, end) if end is not None else log_end
            if position >= stop:
                return
            consumer.assign([tp])
            consumer.seek(tp, position)
            while position < stop:
                for record in await self._fetch(consumer, tp):
                    position = record.offset + 1
                    if record.offset < stop:
                        yield record

    async def offsets_for_time(self, topic: str, milliseconds: int) -> Mapping[int, int]:
        """For each partition, the first offset with a timestamp at or after the moment; the end where there is none."""
        partitions = await self.partitions(topic)
        async with self._turn, clients_outside(self):
            consumer = await self._started()
            tps = [TopicPartition(self._connection.physical(topic), p) for p in range(partitions)]
            found = await consumer.offsets_for_times(dict.fromkeys(tps, milliseconds))
            ends = await consumer.end_offsets(tps)
            return {tp.partition: found[tp].offset if found.get(tp) else ends[tp] for tp in tps}

    async def ends(self, topic: str) -> Mapping[int, int]:
        """The end of each partition."""
        partitions = await self.partitions(topic)
        async with self._turn, clients_outside(self):
            consumer = await self._started()
            ends = await consumer.end_offsets([TopicPartition(self._connection.physical(topic), p) for p in range(partitions)])
            return {tp.partition: end for tp, end in ends.items()}

    async def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """The offsets that a group has committed for a topic, by partition; a partition without one is left out."""
        name = self._connection.physical(topic)
        with clients.outside():
            async with clients.admin(self._connection) as admin:
                offsets = await admin.list_consumer_group_offsets(self._connection.physical(group))
        return {tp.partition: found.offset for tp, found in offsets.items() if tp.topic == name and found.offset >= 0}

    async def _fetch(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> Sequence[Record]:
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            while True:
                fetched = await consumer.getmany(tp, timeout_ms=500, max_records=5_000)
                records: Sequence[Record] = fetched.get(tp, [])
                if records:
                    return records

    async def _bounds(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> tuple[int, int]:
        first = await consumer.beginning_offsets([tp])
        end = await consumer.end_offsets([tp])
        return first[tp], end[tp]

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = clients.consumer(self._connection, fetch_max_wait_ms=50)
            try:
                await consumer.start()
            except BaseException:
                await _stop_quietly(consumer)
                raise
            self._consumer = consumer
        return self._consumer

    async def drop_client(self) -> None:
        """Forgets a client that met an error, so that the next call begins with a new one."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _stop_quietly(consumer)


async def _stop_quietly(consumer: AIOKafkaConsumer) -> None:
    with contextlib.suppress(Retryable), clients.outside():
        await consumer.stop()


class clients_outside:  # noqa: N801 (reads as a clause at its only callers)
    """Turns the client library's errors into Retryable, and drops the client that met one."""

    def __init__(self, inspector: LogInspector) -> None:
        self._inspector = inspector

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, GeneratorExit):
            return
        await self._inspector.drop_client()
        with clients.outside():
            raise error
