"""The loop of one partition (`protocol.md`): fetch, understand, decide in one transaction, publish, go on.

Dying anywhere is safe: whoever takes over publishes the stored outcomes again and goes on from the stored place.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import structlog

from services.redemption.domain.decisions import InternalFailure
from services.redemption.domain.places import Place, StoredOutcomes
from services.redemption.handlers.dead_letters import INTERNAL, DeadLetter, publish_dead_letters
from services.redemption.handlers.deciding import Decided, Deciding
from services.redemption.handlers.outbox import BatchPublisher, publish_outcomes
from services.redemption.handlers.reading import Understanding, Understood
from services.redemption.handlers.references import Freshness
from services.redemption.handlers.taking_over import take_over
from services.redemption.store.errors import PlaceLost
from services.redemption.store.transactions import PartitionLedger
from shared.kafka.errors import OutOfRange, Retryable
from shared.kafka.inspecting import LogInspector
from shared.kafka.records import Record
from shared.telemetry import metrics
from shared.telemetry.traces import carried_headers

FETCH_WAIT_SECONDS: Final = 0.5
FULL_SHARE: Final = 0.1
"""A batch below this share of the most is followed by a short pause, so that light load is not decided record by record."""

SHRINK: Final = 4
LEAST_RECORDS: Final = 20
"""A batch that Postgres does not take in time is tried again smaller; what it takes, grows again."""

DECIDED = metrics.counter("redemption_outcomes_total", "Outcomes published", ("outcome",))
BATCH = metrics.sizes("redemption_batch_records", "Records a batch")
STEP = metrics.seconds("redemption_step_seconds", "Time of each step of the loop, a batch", ("step",))
REPEATED = metrics.counter("redemption_places_lost_total", "Transactions refused because someone else had moved the place")
POSITION = metrics.gauge("redemption_position", "Next offset to decide", ("partition",))
DEAD = metrics.counter("redemption_dead_letters_total", "Records that were no requests", ("reason",))

log = structlog.get_logger(__name__)


class Partition(Protocol):
    """The request partition, while it is ours."""

    @property
    def partition(self) -> int: ...
    @property
    def revoked(self) -> bool: ...
    def seek(self, offset: int) -> None: ...
    async def fetch(self, max_records: int, wait_seconds: float) -> Sequence[Record]: ...
    async def pause(self, seconds: float) -> None: ...
    def commit(self, offset: int) -> None: ...
    async def bounds(self) -> tuple[int, int]: ...


class Ledgers(Protocol):
    """Gives a partition's loop its own connection."""

    def partition_ledger(self) -> AbstractAsyncContextManager[PartitionLedger]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionLoop:
    """What all partitions' loops share. `published` is told of every batch; `pace_seconds` is the pause after a small one."""

    ledgers: Ledgers
    inspector: LogInspector
    publisher: BatchPublisher
    freshness: Freshness
    understanding: Understanding
    deciding: Deciding
    published: Callable[[StoredOutcomes], None]
    now: Callable[[], datetime]
    batch_records: int
    pace_seconds: float
    sizes: dict[int, int] = field(default_factory=dict)
    """Partitions whose batches are smaller for now, because one was not decided in time."""

    async def run(self, partition: Partition) -> None:
        """Works until the partition is revoked (PartitionRevoked), or what it stands on has to be read anew (returns).

        Raises PartitionStopped, and Retryable when Kafka or Postgres is away.
        """
        async with self.ledgers.partition_ledger() as ledger:
            place = await take_over(partition.partition, ledger, partition, self.inspector, self.publisher)
            partition.seek(place.position)
            log.info("partition taken over", partition=place.partition, epoch=place.epoch, position=place.position)
            try:
                while True:
                    place = await self._step(partition, ledger, place)
            except PlaceLost as lost:
                REPEATED.inc()
                log.warning("place was moved by someone else", partition=place.partition, reason=str(lost))
            except OutOfRange as error:
                raise Retryable(str(error)) from error

    async def _step(self, partition: Partition, ledger: PartitionLedger, place: Place) -> Place:
        size = self.sizes.get(place.partition, self.batch_records)
        records = await partition.fetch(size, FETCH_WAIT_SECONDS)
        if not records:
            return place
        started = fetched_at = time.monotonic()
        understood = await self._understand(records, place, fetched_at)
        started = _note("understand", started)
        self.sizes[place.partition] = max(size // SHRINK, LEAST_RECORDS)
        decided = await self._decide(ledger, place, understood, records[-1])
        self.sizes[place.partition] = min(size * 2, self.batch_records)
        started = _note("decide", started)
        await publish_outcomes(self.publisher, decided.outbox, traces=carried_headers(records))
        if decided.outbox is not None:
            self.published(decided.outbox)
        _note("publish", started)
        _count(records, decided)
        partition.commit(decided.place.position)
        if len(records) < self.batch_records * FULL_SHARE:
            await asyncio.sleep(max(0.0, self.pace_seconds - (time.monotonic() - fetched_at)))
        return decided.place

    async def _understand(self, records: Sequence[Record], place: Place, fetched_at: float) -> Understood:
        """What the records say, by reference data that is fresh enough (rule 22); dead letters are sent by the end of it."""
        await self.freshness.wait()
        understood = self.understanding.understand(records, place.epoch)
        if understood.has_unknown_codes or understood.missing_campaigns:
            await self.freshness.read_batches(as_of=fetched_at)
            if not self.understanding.is_current(understood):
                understood = self.understanding.understand(records, place.epoch)
            if understood.missing_campaigns:
                raise Retryable(f"campaigns that batches name are not published: {sorted(understood.missing_campaigns)[:3]}")
        await self._bury(understood.dead_letters)
        return understood

    async def _decide(self, ledger: PartitionLedger, place: Place, understood: Understood, last: Record) -> Decided:
        """Decides; a record that the rules fail on becomes a dead letter, and the others are decided without it (rule 9)."""
        while True:
            await self.freshness.wait()
            try:
                return await self.deciding.decide(ledger, place, understood.requests, last)
            except InternalFailure as failure:
                log.exception("request could not be decided", partition=place.partition, offset=failure.source.offset)
                letter = understood.dead_letter(failure.source.offset, INTERNAL, "the request could not be decided")
                await self._bury([letter])
                understood = understood.without(failure.source.offset)

    async def _bury(self, letters: Sequence[DeadLetter]) -> None:
        await publish_dead_letters(self.publisher, letters, failed_at=self.now())
        for letter in letters:
            DEAD.labels(letter.reason).inc()


def _note(step: str, started: float) -> float:
    now = time.monotonic()
    STEP.labels(step).observe(now - started)
    return now


def _count(records: Sequence[Record], decided: Decided) -> None:
    BATCH.observe(len(records))
    POSITION.labels(str(decided.place.partition)).set(decided.place.position)
    for outcome, number in decided.counts.items():
        DECIDED.labels(outcome).inc(number)
