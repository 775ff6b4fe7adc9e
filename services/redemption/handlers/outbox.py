"""Outcomes on their way: as they are stored with the place, and as they are published."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec
import zstandard
from msgspec.structs import replace

from services.redemption.domain.places import StoredOutcome, StoredOutcomes
from services.redemption.domain.requests import Received
from shared.contracts.codec import format_time
from shared.contracts.redemption import Outcome
from shared.contracts.topics import OUTCOMES
from shared.kafka.records import NewRecord
from shared.telemetry.traces import HEADER

_json: Final = msgspec.json.Encoder()
_pack: Final = msgspec.msgpack.Encoder()
_unpack: Final = msgspec.msgpack.Decoder(StoredOutcomes)
_compressor: Final = zstandard.ZstdCompressor(level=1)
_decompressor: Final = zstandard.ZstdDecompressor()

_SAME_HEADERS: Final = (
    ("content-type", b"application/json"),
    ("ce_specversion", b"1.0"),
    ("ce_source", b"/counterfoil/redemption"),
)
NO_TRACES: Final[Mapping[int, bytes]] = {}


class BatchPublisher(Protocol):
    """Writes records in order; returns when all are acknowledged, raises Retryable otherwise."""

    async def publish_batch(self, topic: str, partition: int, records: Sequence[NewRecord]) -> None: ...


def store_outcomes(batch: Sequence[Received], outcomes: Sequence[Outcome]) -> StoredOutcomes | None:
    """The outcomes of a batch with their requests' keys, encoded; None for none."""
    if not outcomes:
        return None
    return StoredOutcomes(
        epoch=outcomes[0].source.epoch,
        partition=outcomes[0].source.partition,
        decided_at=format_time(outcomes[0].decided_at),
        outcomes=[
            StoredOutcome(received.key, _json.encode(outcome), outcome.source.offset, outcome.type)
            for received, outcome in zip(batch, outcomes, strict=True)
        ],
    )


def compress(stored: StoredOutcomes | None) -> bytes | None:
    return _compressor.compress(_pack.encode(stored)) if stored is not None else None


def decompress(outbox: bytes | None) -> StoredOutcomes | None:
    return _unpack.decode(_decompressor.decompress(outbox)) if outbox is not None else None


async def publish_outcomes(
    publisher: BatchPublisher, stored: StoredOutcomes | None, *, traces: Mapping[int, bytes] = NO_TRACES
) -> None:
    """Publishes a batch's outcomes, the same keys and values however often this is done. Raises Retryable.

    `traces`, by offset, goes on in a header of its own. It is not stored: what is published again after a crash is without it.
    """
    if stored is not None:
        records = _records(stored)
        await publisher.publish_batch(OUTCOMES.name, stored.partition, _traced(stored, records, traces) if traces else records)


def _traced(stored: StoredOutcomes, records: Sequence[NewRecord], traces: Mapping[int, bytes]) -> list[NewRecord]:
    return [
        replace(record, headers=(*record.headers, (HEADER, traces[outcome.offset]))) if outcome.offset in traces else record
        for outcome, record in zip(stored.outcomes, records, strict=True)
    ]


def _records(stored: StoredOutcomes) -> list[NewRecord]:
    place, time = f"{stored.epoch}-{stored.partition}-", ("ce_time", stored.decided_at.encode())
    return [
        NewRecord(
            outcome.key,
            outcome.value,
            (
                *_SAME_HEADERS,
                time,
                ("ce_id", f"{place}{outcome.offset}".encode()),
                ("ce_type", outcome.type.encode()),
            ),
        )
        for outcome in stored.outcomes
    ]
