"""A group's partitions, each run by a task of its own for as long as it belongs to this process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

from shared.environment import KafkaConnection
from shared.kafka import clients, lag
from shared.kafka.errors import OutOfRange, PartitionStopped, Retryable
from shared.kafka.pauses import growing_pauses
from shared.kafka.records import Record

FINISH_SECONDS: Final = 6.0
"""What a loop has for ending its batch when its partition is taken away, before it is cancelled."""

STOPPED_RETRY_SECONDS: Final = 10.0
"""A stopped partition looks again this often whether an operator has mended it."""

WORKS_AFTER_SECONDS: Final = 1.0
"""A loop that stops does so when it looks for its place or at the first records from there; after this long it has not."""

HEARTBEAT_MILLISECONDS: Final = 1_000
"""A member learns of a rebalance with its next heartbeat; the client's own three seconds would leave partitions idle."""

log = structlog.get_logger(__name__)


class PartitionRevoked(Exception):  # noqa: N818 (an everyday ending)
    """The partition belongs to another member now, or the process is ending. A loop lets it pass."""


class PartitionReader:
    """One partition of a group, while it is ours. Reads from where its loop says, never from the committed offset (rule 1)."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str, assigned: TopicPartition) -> None:
        self.topic = topic
        self.partition: int = assigned.partition
        self.lag = lag.PartitionLag()
        self._consumer = consumer
        self.assigned = assigned
        self._next: int | None = None
        self._sought_at: float | None = None
        self._revoked: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def revoked(self) -> bool:
        return self._revoked.done()

    @property
    def works(self) -> bool:
        """Whether the loop has found its place and has gone on from it for a while."""
        return self._sought_at is not None and time.monotonic() - self._sought_at > WORKS_AFTER_SECONDS

    def begin(self) -> None:
        """The loop is started anew."""
        self._sought_at = None

    def seek(self, offset: int) -> None:
        """The next fetch starts at this offset."""
        self.lag.begin(offset)
        self._sought_at = time.monotonic()
        self._seek(offset)

    async def fetch(self, max_records: int, wait_seconds: float) -> Sequence[Record]:
        """The next records from the place of `seek`, in order; none when nothing came within `wait_seconds`.

        Raises PartitionRevoked, OutOfRange where the log does not hold the place, Retryable when Kafka is away.
        """
        if self._next is None:
            message = "seek before the first fetch"
            raise AssertionError(message)
        fetched = await self._unless_revoked(self._getmany(max_records, wait_seconds))
        records = [record for record in fetched if record.offset >= self._next]
        if len(records) != len(fetched):
            self._seek(records[-1].offset + 1 if records else self._next)
        if records:
            self._next = records[-1].offset + 1
            self.lag.fetched(records)
        return records

    async def pause(self, seconds: float) -> None:
        """Waits; raises PartitionRevoked as soon as the partition is taken away."""
        await self._unless_revoked(asyncio.sleep(seconds, result=[]))

    async def commit(self, offset: int) -> None:
        """Tells the group how far this partition is, for lag and rule 19 alone; that it fails now and then does no harm."""
        self.lag.done(offset)
        try:
            with clients.outside():
                await self._consumer.commit({self.assigned: offset})
        except Retryable as error:
            log.debug("offset not committed", topic=self.topic, partition=self.partition, error=str(error))

    async def bounds(self) -> tuple[int, int]:
        """The first offset that the log holds, and its end."""
        with clients.outside():
            first = await self._consumer.beginning_offsets([self.assigned])
            end = await self._consumer.end_offsets([self.assigned])
        return first[self.assigned], end[self.assigned]

    def revoke(self) -> None:
        if not self._revoked.done():
            self._revoked.set_result(None)

    def _seek(self, offset: int) -> None:
        self._next = offset
        self._consumer.seek(self.assigned, offset)

    async def _getmany(self, max_records: int, wait_seconds: float) -> Sequence[Record]:
        while True:
            try:
                with clients.outside():
                    fetched = await self._consumer.getmany(
                        self.assigned, timeout_ms=int(wait_seconds * 1000), max_records=max_records
                    )
            except Retryable as error:
                if isinstance(error.__cause__, OffsetOutOfRangeError):
                    raise OutOfRange(self.topic, self.partition, self._next or 0) from None
                if not isinstance(error.__cause__, NoOffsetForPartitionError):
                    raise
                self._seek(self._next or 0)
            else:
                records: Sequence[Record] = fetched.get(self.assigned, [])
                return records

    async def _unless_revoked(self, work: Awaitable[Sequence[Record]]) -> Sequence[Record]:
        if self._revoked.done():
            asyncio.ensure_future(work).cancel()
            raise PartitionRevoked
        working = asyncio.ensure_future(work)
        try:
            waited: set[asyncio.Future[Any]] = {working, self._revoked}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not working.done():
                working.cancel()
        if working.done() and not working.cancelled():
            return working.result()
        raise PartitionRevoked


RunPartition = Callable[[PartitionReader], Awaitable[None]]


class PartitionGroup(ConsumerRebalanceListener):  # type: ignore[misc]
    """Joins a group and runs one loop for each partition that it is given.

    A loop that raises Retryable is started again after a growing pause; one that raises PartitionStopped is looked at again
    every ten seconds while the others go on; any other exception ends `run`, and with it the process.
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
        pauses = growing_pauses()
        while True:
            try:
                await self._join_once()
            except Retryable as error:
                pause = next(pauses)
                log.warning("group is interrupted", group=self._group, error=str(error), pause_seconds=pause)
                await asyncio.sleep(pause)

    async def _join_once(self) -> None:
        self._failure = asyncio.get_running_loop().create_future()
        consumer = self._consumer = clients.consumer(
            self._connection,
            **{
                "group_id": self._connection.physical(self._group),
                "heartbeat_interval_ms": HEARTBEAT_MILLISECONDS,
                **self._consumer_settings,
            },
        )
        try:
            with clients.outside():
                await consumer.start()
            consumer.subscribe([self._connection.physical(self._topic)], listener=self)
            measuring = asyncio.create_task(self._measure_lag(consumer), name=f"{self._group} lag")
            try:
                await self._failure
            finally:
                measuring.cancel()
        finally:
            await asyncio.shield(self._leave(consumer))

    async def _leave(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = None
        await self._end_loops()
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

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002 (aiokafka's name)
        await self._end_loops()

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        await self._end_loops()
        if self._consumer is None:
            return
        for tp in sorted(assigned):
            reader = PartitionReader(self._consumer, self._topic, tp)
            task = asyncio.create_task(self._supervise(reader), name=f"{self._group}/{tp.partition}")
            self._loops[tp.partition] = (reader, task)
        log.info("partitions assigned", group=self._group, partitions=self.partitions)

    async def _end_loops(self) -> None:
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

    async def _supervise(self, reader: PartitionReader) -> None:
        pauses = growing_pauses()
        try:
            while True:
                pause = await self._attempt(reader)
                await reader.pause(next(pauses) if pause is None else pause)
                if pause is not None:
                    pauses = growing_pauses()
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
            return None
        except PartitionStopped as error:
            self._stopped[reader.partition] = error
            log.error(
                "partition stopped", topic=self._topic, partition=reader.partition, reason=error.reason, mend=error.command
            )
            return STOPPED_RETRY_SECONDS
        self._stopped.pop(reader.partition, None)
        return 0.0
