"""A group's partitions, each run by a task of its own for as long as it belongs to this process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from shared.environment import KafkaConnection
from shared.kafka import clients, lag
from shared.kafka.errors import PartitionStopped, Retryable
from shared.kafka.pauses import growing_pauses
from shared.kafka.reading import PartitionReader, PartitionRevoked

FINISH_SECONDS: Final = 6.0
"""What a loop has for ending its batch when its partition is taken away, before it is cancelled."""

STOPPED_RETRY_SECONDS: Final = 10.0
"""A stopped partition looks again this often whether an operator has mended it."""

HEARTBEAT_MILLISECONDS: Final = 1_000
"""A member learns of a rebalance with its next heartbeat; the client's own three seconds would leave partitions idle."""

UNREAD_MILLISECONDS: Final = 100 * 365 * 86_400_000
"""How long a member stays in the group without reading: for good. The client's own five minutes would end a group whose loops
read nothing because they need nothing (ranking takes what its boards have counted) or because their database is away; and no
loop would be left whose reading lets the client join again."""

COMMIT_SECONDS: Final = 0.2
COMMIT_WAIT_SECONDS: Final = 2.0

log = structlog.get_logger(__name__)

RunPartition = Callable[[PartitionReader], Awaitable[None]]


class PartitionGroup(ConsumerRebalanceListener):  # type: ignore[misc]
    """Joins a group and runs one loop for each partition that it is given.

    A loop that raises Retryable is started again after a pause, which grows until it has worked for a while; one that raises
    PartitionStopped is looked at again every ten seconds while the others go on; any other exception ends `run`, and with it
    the process.
    """

    def __init__(
        self, connection: KafkaConnection, *, topic: str, group: str, run_partition: RunPartition, **consumer: Any
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._group = group
        self._run_partition = run_partition
        self._consumer_settings = consumer
        self._consumer: AIOKafkaConsumer | None = None
        self._loops: dict[int, tuple[PartitionReader, asyncio.Task[None]]] = {}
        self._failure: asyncio.Future[None] | None = None
        self._stopped: dict[int, PartitionStopped] = {}
        self._pauses = growing_pauses()

    @property
    def stopped(self) -> dict[int, PartitionStopped]:
        """The partitions of ours that wait for an operator, and why."""
        mended = {partition for partition, (reader, _) in self._loops.items() if reader.works}
        return {partition: stop for partition, stop in self._stopped.items() if partition not in mended}

    @property
    def partitions(self) -> list[int]:
        """The partitions that are ours now."""
        return sorted(self._loops)

    async def run(self) -> None:
        """Works until it is cancelled; then lets the loops end their batches and leaves the group."""
        while True:
            try:
                await self._join_once()
            except Retryable as error:
                pause = next(self._pauses)
                log.warning("group is interrupted", group=self._group, error=str(error), pause_seconds=pause)
                await asyncio.sleep(pause)

    async def _join_once(self) -> None:
        self._failure = asyncio.get_running_loop().create_future()
        consumer = self._consumer = clients.consumer(
            self._connection,
            **{
                "group_id": self._connection.physical(self._group),
                "heartbeat_interval_ms": HEARTBEAT_MILLISECONDS,
                "max_poll_interval_ms": UNREAD_MILLISECONDS,
                **self._consumer_settings,
            },
        )
        try:
            with clients.outside():
                await consumer.start()
            clients.fetch_partitions_apart(consumer)
            consumer.subscribe([self._connection.physical(self._topic)], listener=self)
            beside = [
                asyncio.create_task(self._measure_lag(consumer), name=f"{self._group} lag"),
                asyncio.create_task(self._commit_regularly(consumer), name=f"{self._group} commits"),
            ]
            try:
                await self._failure
            finally:
                for task in beside:
                    task.cancel()
        finally:
            await asyncio.shield(self._leave(consumer))

    async def _leave(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = None
        await self._end_loops(consumer)
        try:
            async with asyncio.timeout(3):
                with clients.outside():
                    await consumer.stop()
        except (Retryable, TimeoutError) as error:
            log.warning("group was not left in time", group=self._group, error=str(error))

    async def _measure_lag(self, consumer: AIOKafkaConsumer) -> None:
        """Tells how far the partitions are behind; while Kafka is away, by the ends that were last known."""
        while True:
            readers = [reader for reader, _ in self._loops.values()]
            try:
                with clients.outside():
                    ends = await consumer.end_offsets([reader.assigned for reader in readers]) if readers else {}
                    for reader in readers:
                        if not reader.lag.begun:
                            reader.lag.suppose(await consumer.committed(reader.assigned))
            except Retryable:
                ends = {}
            now = time.time()
            for reader in readers:
                if reader.assigned in ends:
                    reader.lag.measured(ends[reader.assigned], now)
                if not reader.revoked:
                    stopped = reader.partition in self.stopped
                    lag.tell(self._topic, self._group, reader.partition, reader.lag, now=now, stopped=stopped)
            await asyncio.sleep(lag.MEASURE_SECONDS)

    async def _commit_regularly(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            await self._commit(consumer, [reader for reader, _ in self._loops.values()])

    async def _commit(self, consumer: AIOKafkaConsumer, readers: Sequence[PartitionReader]) -> None:
        """Tells the group how far the partitions are; that it fails now and then does no harm."""
        offsets = {reader.assigned: reader.uncommitted for reader in readers if reader.uncommitted is not None}
        if not offsets:
            return
        try:
            async with asyncio.timeout(COMMIT_WAIT_SECONDS):
                with clients.outside():
                    await consumer.commit(offsets)
        except (Retryable, TimeoutError) as error:
            log.debug("offsets not committed", topic=self._topic, group=self._group, error=str(error))
            return
        for reader in readers:
            if reader.uncommitted == offsets.get(reader.assigned):
                reader.uncommitted = None

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002 (aiokafka's name)
        await self._end_loops(self._consumer)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        await self._end_loops(self._consumer)
        self._pauses = growing_pauses()
        if self._consumer is None:
            return
        for tp in sorted(assigned):
            reader = PartitionReader(self._consumer, self._topic, tp)
            task = asyncio.create_task(self._supervise(reader), name=f"{self._group}/{tp.partition}")
            self._loops[tp.partition] = (reader, task)
        log.info("partitions assigned", group=self._group, partitions=self.partitions)

    async def _end_loops(self, consumer: AIOKafkaConsumer | None) -> None:
        loops, self._loops = list(self._loops.values()), {}
        self._stopped = {}
        for reader, _ in loops:
            reader.revoke()
            lag.forget(self._topic, self._group, reader.partition)
        tasks = [task for _, task in loops]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=FINISH_SECONDS)
            for task in late:
                log.warning("partition loop is cancelled", task=task.get_name())
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if consumer is not None:
            await self._commit(consumer, [reader for reader, _ in loops])

    async def _supervise(self, reader: PartitionReader) -> None:
        pauses = growing_pauses()
        try:
            while True:
                pause = await self._attempt(reader)
                if pause is not None or reader.works:
                    pauses = growing_pauses()
                await reader.pause(next(pauses) if pause is None else pause)
        except PartitionRevoked:
            return
        except asyncio.CancelledError:
            if not reader.revoked:
                self._fail(reader, RuntimeError("a partition's loop was cancelled from within"))
            raise
        except Exception as error:
            self._fail(reader, error)

    def _fail(self, reader: PartitionReader, error: Exception) -> None:
        log.error("partition loop failed", topic=self._topic, partition=reader.partition, exc_info=error)
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _attempt(self, reader: PartitionReader) -> float | None:
        """Runs the loop once; the seconds to wait before the next time, None for a growing pause."""
        reader.begin()
        try:
            await self._run_partition(reader)
        except Retryable as error:
            log.warning("partition waits", topic=self._topic, partition=reader.partition, error=str(error))
            if reader.works:
                self._stopped.pop(reader.partition, None)
            return None
        except PartitionStopped as error:
            self._stopped[reader.partition] = error
            log.error(
                "partition stopped", topic=self._topic, partition=reader.partition, reason=error.reason, mend=error.command
            )
            return STOPPED_RETRY_SECONDS
        self._stopped.pop(reader.partition, None)
        return 0.0
