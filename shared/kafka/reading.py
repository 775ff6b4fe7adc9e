"""One partition of a group, as its loop reads it while the partition belongs to this process."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

from shared.kafka import clients, lag
from shared.kafka.errors import OutOfRange, Retryable
from shared.kafka.records import Record
from shared.telemetry import traces

WORKS_AFTER_SECONDS: Final = 1.0
"""A loop that stops does so when it looks for its place or at the first records from there; after this long it has not."""

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
        self._done = 0
        self._sought_at: float | None = None
        self._revoked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._span: traces.BatchSpan | None = None
        self.uncommitted: int | None = None

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
        self._done = offset
        self._sought_at = time.monotonic()
        self._seek(offset)

    async def fetch(self, max_records: int, wait_seconds: float) -> Sequence[Record]:
        """The next records from the place of `seek`, in order; none when nothing came within `wait_seconds`.

        Raises PartitionRevoked, OutOfRange where the log does not hold the place, Retryable when Kafka is away.
        """
        if self._next is None:
            message = "seek before the first fetch"
            raise AssertionError(message)
        self._end_span()
        fetched = await self._unless_revoked(self._getmany(max_records, wait_seconds))
        records = [record for record in fetched if record.offset >= self._next]
        if len(records) != len(fetched):
            self._seek(records[-1].offset + 1 if records else self._next)
        if records:
            self._next = records[-1].offset + 1
            self.lag.fetched(records)
            carried = traces.carried_headers(records).values()
            self._span = traces.batch_span("process", self.topic, carried, records=len(records))
        return records

    async def pause(self, seconds: float) -> None:
        """Waits; raises PartitionRevoked as soon as the partition is taken away."""
        await self._unless_revoked(asyncio.sleep(seconds, result=[]))

    def commit(self, offset: int) -> None:
        """Everything below the offset is done. The group is told within a moment, and before the partition is given away.

        That is for lag and rule 19 alone: where a loop goes on is never read from it (rule 1), so nobody waits for it.
        """
        self._done = offset
        self.lag.done(offset)
        self._end_span()
        self.uncommitted = offset

    async def bounds(self) -> tuple[int, int]:
        """The first offset that the log holds, and its end."""
        with clients.outside():
            first = await self._consumer.beginning_offsets([self.assigned])
            end = await self._consumer.end_offsets([self.assigned])
        return first[self.assigned], end[self.assigned]

    def _end_span(self) -> None:
        if self._span is not None:
            self._span.end()
            self._span = None

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
                if not records:
                    await self._pass_markers()
                return records

    async def _pass_markers(self) -> None:
        """Where all records are done, so is what follows them and is none: markers of transactions, and aborted ones' records.

        Else a partition whose last request came in a transaction would be behind for ever, and rule 19 would wait for it.
        """
        with clients.outside():
            position = await self._consumer.position(self.assigned)
        if self._next is not None and position > self._done >= self._next:
            self.commit(position)

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
