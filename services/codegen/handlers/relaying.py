"""Sending the outbox in id order, and sending again what a topic has lost or holds in an older revision (rule 21)."""

import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Protocol

import msgspec
import structlog

from services.codegen.handlers.announcing import batch_record, campaign_record, store_record, token_record, void_record
from services.codegen.store.database import Database, Session
from services.codegen.store.outbox import NewRecord, WaitingRecord
from shared.contracts.codec import format_time
from shared.contracts.topics import BATCHES, CAMPAIGNS, STORES, TOKENS, VOIDS
from shared.kafka.records import NewRecord as KafkaRecord
from shared.kafka.records import Record

RECORDS_AT_A_TIME = 250
OWN_TOPICS = (CAMPAIGNS, STORES, BATCHES, VOIDS, TOKENS)

log = structlog.get_logger(__name__)


class TopicWriter(Protocol):
    """What the relay needs of a publisher."""

    async def partitions(self, topic: str) -> int: ...
    async def publish_batch(self, topic: str, partition: int, records: Sequence[KafkaRecord]) -> None: ...


class TopicReader(Protocol):
    """What the relay needs of an inspector."""

    async def partitions(self, topic: str) -> int: ...
    async def bounds(self, topic: str, partition: int) -> tuple[int, int]: ...
    def read(self, topic: str, partition: int, start: int, end: int | None = None) -> AsyncIterator[Record]: ...


class _Revision(msgspec.Struct):
    revision: int


_decode = msgspec.json.Decoder(_Revision).decode


class Relaying:
    """Sends for one process. Only one relay holds the lease; a record that is sent twice is ignored by its revision."""

    def __init__(self, database: Database, writer: TopicWriter) -> None:
        self._database = database
        self._writer = writer

    async def hold_lease(self, holder: str, seconds: float) -> bool:
        async with self._database.reading() as session:
            return await session.outbox.hold_relay_lease(holder, seconds)

    async def end_lease(self, holder: str) -> None:
        async with self._database.reading() as session:
            await session.outbox.end_relay_lease(holder)

    async def send_some(self) -> int:
        """Sends the next records and removes those that were acknowledged; how many. Raises what the writer raises."""
        async with self._database.reading() as session:
            waiting = await session.outbox.outbox_head(RECORDS_AT_A_TIME)
        for topic, group in groupby(waiting, key=lambda record: record.topic):
            records = list(group)
            await self._send(topic, records)
            async with self._database.reading() as session:
                await session.outbox.delete_outbox([record.id for record in records])
        return len(waiting)

    async def waiting(self) -> tuple[int, float]:
        """Records that wait, and the age of the oldest in seconds."""
        async with self._database.reading() as session:
            return await session.outbox.outbox_state()

    async def _send(self, topic: str, records: Sequence[WaitingRecord]) -> None:
        partitions = await self._writer.partitions(topic)
        by_partition: dict[int, list[KafkaRecord]] = {}
        for record in records:
            partition = zlib.crc32(record.key.encode()) % partitions
            by_partition.setdefault(partition, []).append(_kafka_record(record))
        for partition, chosen in by_partition.items():
            await self._writer.publish_batch(topic, partition, chosen)


class TopicMirror:
    """What our own topics hold: the last revision of each key, read on from where it was read to."""

    def __init__(self, reader: TopicReader) -> None:
        self._reader = reader
        self._positions: dict[tuple[str, int], int] = {}
        self._held: dict[str, dict[str, int]] = {topic.name: {} for topic in OWN_TOPICS}

    async def read_on(self) -> Mapping[str, Mapping[str, int]]:
        """Revisions by topic and key, as of the topics' ends of now. A topic that was made anew is read from its beginning."""
        for topic in self._held:
            for partition in range(await self._reader.partitions(topic)):
                await self._read_partition(topic, partition)
        return self._held

    async def _read_partition(self, topic: str, partition: int) -> None:
        _, end = await self._reader.bounds(topic, partition)
        position = self._positions.get((topic, partition), 0)
        if position > end:
            log.warning("a topic of ours was made anew", topic=topic)
            position, self._held[topic] = 0, {}
        held = self._held[topic]
        async for record in self._reader.read(topic, partition, position, end):
            if record.key is not None and record.value is not None:
                revision = _decode(record.value).revision
                key = record.key.decode()
                held[key] = max(revision, held.get(key, 0)) if topic == VOIDS.name else revision
        self._positions[(topic, partition)] = end


async def send_again(database: Database, mirror: TopicMirror) -> int:
    """Puts into the outbox what the topics do not hold in its present revision; how many records.

    The tables are asked first: what they say is acknowledged then is in the topics when these are read. Asked after them alone,
    they would tell of what was sent meanwhile, and it would be sent twice.
    """
    async with database.reading() as session:
        acknowledged = await session.outbox.current_revisions()
    held = await mirror.read_on()
    lost = {(topic, key) for topic, key, revision in acknowledged if held[topic].get(key, 0) < revision}
    if not lost:
        return 0
    async with database.transaction() as session:
        behind = [
            (topic, key, held[topic].get(key, 0))
            for topic, key, revision in await session.outbox.current_revisions()
            if (topic, key) in lost and held[topic].get(key, 0) < revision
        ]
        records = await _records(session, behind)
        await session.outbox.insert_outbox(records)
    if records:
        log.info("records are sent again", records=len(records))
    return len(records)


async def _records(session: Session, behind: Sequence[tuple[str, str, int]]) -> list[NewRecord]:
    now = datetime.now(UTC)
    keys = {topic.name: [key for name, key, _ in behind if name == topic.name] for topic in OWN_TOPICS}
    records = [campaign_record(c) for c in await session.campaigns.campaigns_by_id(keys[CAMPAIGNS.name], now)]
    records += [store_record(store) for store in await session.stores.stores_by_id(keys[STORES.name])]
    records += [token_record(token.event) for token in await session.tokens.tokens_by_id(keys[TOKENS.name])]
    for batch_id in keys[BATCHES.name]:
        batch = await session.batches.find_batch(batch_id)
        if batch is not None:
            records.append(await batch_record(session, batch))
    for topic, void_id, part in behind:
        if topic == VOIDS.name:
            records += [void_record(void) for void in await session.voids.parts_after(void_id, part)]
    return records


def _kafka_record(record: WaitingRecord) -> KafkaRecord:
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", f"codegen-{record.id}".encode()),
        ("ce_source", b"/counterfoil/codegen"),
        ("ce_type", record.event.encode()),
        ("ce_time", format_time(record.made_at).encode()),
        ("content-type", b"application/json"),
    )
    return KafkaRecord(record.key.encode(), record.value, headers)
