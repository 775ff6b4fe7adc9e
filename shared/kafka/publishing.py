"""Writing records: whole batches to a partition, one at a time; and single records that are waited for."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownTopicOrPartitionError

from shared.environment import KafkaConnection
from shared.kafka import clients
from shared.kafka.errors import Retryable
from shared.kafka.records import Headers, NewRecord
from shared.telemetry import traces

BATCH_BYTES: Final = 900_000
"""The broker refuses a record batch above 1,048,588 bytes. A record that is larger than this alone is a batch of its own."""

STOP_SECONDS: Final = 2.0
PARTITION_SECONDS: Final = 3.0
PARTITION_LOOK_SECONDS: Final = 0.1

log = structlog.get_logger(__name__)


class Publisher:
    """A producer that is replaced after any error, so that nothing of a failed attempt can be sent later (rule 6).

    Used as an async context manager; one for all partitions of a process. A call returns when all replicas in sync have the
    records, and raises Retryable otherwise, in which case some of them may have been written.
    """

    def __init__(self, connection: KafkaConnection, *, delivery_timeout_seconds: float = 15.0) -> None:
        self._connection = connection
        self._delivery_timeout_seconds = delivery_timeout_seconds
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._producer is not None:
            await self._abandon(self._producer)

    async def publish_batch(self, topic: str, partition: int, records: Sequence[NewRecord]) -> None:
        """Writes the records in order, in record batches of at most 900 KB, each acknowledged before the next is sent."""
        sent = 0
        while sent < len(records):
            producer = await self._started()
            try:
                async with asyncio.timeout(self._delivery_timeout_seconds):
                    with clients.outside():
                        name = self._connection.physical(topic)
                        sent += await self._send_chunk(producer, name, partition, records, start=sent)
            except (Retryable, TimeoutError) as error:
                await self._abandon(producer)
                raise Retryable(f"Kafka did not take records of {topic}: {type(error).__name__}: {error}") from error

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, *, headers: Headers = (), partition: int | None = None
    ) -> tuple[int, int]:
        """Writes one record and returns its partition and offset. Sends of several tasks share a request where they can."""
        producer = await self._started()
        try:
            async with asyncio.timeout(self._delivery_timeout_seconds):
                with clients.outside():
                    name, carried = self._connection.physical(topic), [*headers, *traces.current_headers()]
                    if partition is not None:
                        await _know_partition(producer, name, partition)
                    metadata = await producer.send_and_wait(name, value, key=key, headers=carried, partition=partition)
        except (Retryable, TimeoutError) as error:
            await self._abandon(producer)
            raise Retryable(f"Kafka did not take a record of {topic}: {type(error).__name__}: {error}") from error
        return metadata.partition, metadata.offset

    async def send_all(self, topic: str, records: Sequence[NewRecord]) -> None:
        """Writes records by their keys' partitions; returns when all are acknowledged. For streams, not for outboxes."""
        producer = await self._started()
        name = self._connection.physical(topic)
        try:
            async with asyncio.timeout(self._delivery_timeout_seconds + len(records) / 5_000):
                with clients.outside():
                    sent = [await producer.send(name, r.value, key=r.key, headers=list(r.headers)) for r in records]
                    await asyncio.gather(*sent)
        except (Retryable, TimeoutError) as error:
            await self._abandon(producer)
            raise Retryable(f"Kafka did not take records of {topic}: {type(error).__name__}: {error}") from error

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has now."""
        producer = await self._started()
        with clients.outside():
            return len(await producer.partitions_for(self._connection.physical(topic)))

    async def _send_chunk(
        self, producer: AIOKafkaProducer, name: str, partition: int, records: Sequence[NewRecord], *, start: int
    ) -> int:
        """Sends as many of the records from `start` on as one record batch takes, at least one; how many they were."""
        batch: Any = producer.create_batch()
        for index in range(start, len(records)):
            record = records[index]
            if batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers)) is None:
                break
        batch.close()
        count: int = batch.record_count()
        await _know_partition(producer, name, partition)
        await (await producer.send_batch(batch, name, partition=partition))
        return count

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = clients.producer(self._connection, max_batch_size=BATCH_BYTES)
                try:
                    with clients.outside():
                        await producer.start()
                except BaseException:
                    await _stop(producer)
                    raise
                self._producer = producer
            return self._producer

    async def _abandon(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
        await _stop(producer)


async def _know_partition(producer: AIOKafkaProducer, name: str, partition: int) -> None:
    """A partition may have been added since the topic was last asked about: the producer would refuse it as a mistake.

    A broker tells of a new partition a moment after it was made, which is waited for.
    """
    deadline = time.monotonic() + PARTITION_SECONDS
    while partition not in await producer.partitions_for(name):
        if time.monotonic() > deadline:
            raise UnknownTopicOrPartitionError(f"{name} has no partition {partition} yet")
        await producer.client.force_metadata_update()
        await asyncio.sleep(PARTITION_LOOK_SECONDS)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Ends a producer within a bounded time; what it had not sent is dropped with it."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            with clients.outside():
                await producer.stop()
    except (Retryable, TimeoutError):
        log.warning("producer did not stop in time", seconds=STOP_SECONDS)
        await producer.client.close()
