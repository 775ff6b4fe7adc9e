"""Reference data from its topics into the catalogue, and how fresh it is (`protocol.md`, rule 22)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

import structlog

from services.redemption.domain.catalogue import Catalogue
from shared.contracts.codec import InvalidEvent, decoder
from shared.contracts.codegen import Batch, BatchState, Campaign, Store, Void
from shared.contracts.topics import BATCHES, CAMPAIGNS, STORES, VOIDS
from shared.kafka.errors import Retryable
from shared.kafka.records import Record

MAX_AGE_SECONDS: Final = 1.0
WAIT_SECONDS: Final = 4.0

Value = TypeVar("Value")
Apply = Callable[[int, Sequence[Record]], None]

log = structlog.get_logger(__name__)


class Follower(Protocol):
    """The reader that follows the reference topics."""

    async def wait_fresh(self, max_age_seconds: float) -> None: ...
    async def read_to_end(self, topic: str, *, as_of: float) -> None: ...


class Readable(Protocol):
    """Raises where a published batch's codes cannot be read with the keys and word lists of this process."""

    def require(self, batch: Batch) -> None: ...


class Freshness:
    """Waits until decisions may be made. Raises Retryable when the topics cannot be read, so that nothing waits for ever."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    async def wait(self) -> None:
        """Returns when all reference topics were at their ends within the last second."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._follower.wait_fresh(MAX_AGE_SECONDS)
        except TimeoutError:
            raise Retryable("the reference topics cannot be read to their ends") from None

    async def read_batches(self, *, as_of: float) -> None:
        """Returns when campaigns, stores and batches are read to their ends as of a moment of the monotonic clock."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                topics = (BATCHES, CAMPAIGNS, STORES)
                await asyncio.gather(*(self._follower.read_to_end(topic.name, as_of=as_of) for topic in topics))
        except TimeoutError:
            raise Retryable("the batches topic cannot be read to its end") from None


def reference_topics(catalogue: Catalogue, readable: Readable) -> Mapping[str, Apply]:
    """What to do with the records of each reference topic.

    A published batch that cannot be read raises what `readable` raises, before any of its codes is met: the process must end.
    """

    def put_batch(batch: Batch) -> None:
        if batch.state is BatchState.PUBLISHED:
            readable.require(batch)
        catalogue.put_batch(batch)

    return {
        CAMPAIGNS.name: _applying(decoder(Campaign), catalogue.put_campaign, CAMPAIGNS.name),
        STORES.name: _applying(decoder(Store), catalogue.put_store, STORES.name),
        BATCHES.name: _applying(decoder(Batch), put_batch, BATCHES.name),
        VOIDS.name: _applying(decoder(Void), catalogue.put_void, VOIDS.name),
    }


def _applying(decode: Callable[[bytes], Value], put: Callable[[Value], None], topic: str) -> Apply:
    def apply(_partition: int, records: Sequence[Record]) -> None:
        for record in records:
            if record.value is None:
                continue
            try:
                value = decode(record.value)
            except InvalidEvent as error:
                log.error("reference record is not readable", topic=topic, offset=record.offset, reason=error.reason)
                continue
            put(value)

    return apply
