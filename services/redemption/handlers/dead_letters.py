"""Records that are no requests: kept with their reason on a topic of their own, looked at and sent again by operators."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from services.redemption.handlers.outbox import BatchPublisher
from shared.contracts.codec import format_time
from shared.contracts.topics import DEAD_LETTERS, REQUESTS
from shared.kafka.inspecting import LogInspector
from shared.kafka.records import NewRecord, Record

BYTES_LIMIT: Final = 64 * 1024
INTERNAL: Final = "INTERNAL"
_PARTITION: Final = 0


class StreamPublisher(Protocol):
    """Writes records; returns when all are acknowledged, raises Retryable otherwise."""

    async def send_all(self, topic: str, records: Sequence[NewRecord]) -> None: ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that cannot be decided, and why. `detail` holds nothing that the record held."""

    record: Record
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDeadLetter:
    """A dead letter as its topic holds it. `number` is its offset there."""

    number: int
    key: bytes | None
    value: bytes | None
    reason: str
    detail: str
    origin_partition: int
    origin_offset: int
    failed_at: str
    truncated: bool


async def publish_dead_letters(publisher: BatchPublisher, letters: Sequence[DeadLetter], *, failed_at: datetime) -> None:
    """Sends dead letters and returns when all are acknowledged (rule 9). Replaying repeats them with the same origin.

    As batches, because the client refuses to send a record by itself that has neither key nor value; platforms' clients do not.
    """
    if letters:
        records = [_record(letter, format_time(failed_at)) for letter in letters]
        await publisher.publish_batch(DEAD_LETTERS.name, _PARTITION, records)


class DeadLetters:
    """What operators do with them."""

    def __init__(self, inspector: LogInspector, publisher: StreamPublisher) -> None:
        self._inspector = inspector
        self._publisher = publisher

    async def list(self, *, start: int = 0) -> AsyncIterator[StoredDeadLetter]:
        """The dead letters that the topic holds from a number on, oldest first, each origin once for each reason.

        Key and value are looked at too: a request topic that was made anew has other records at the same places.
        """
        seen: set[tuple[int, int, str, int]] = set()
        async for record in self._inspector.read(DEAD_LETTERS.name, _PARTITION, start):
            letter = _stored(record)
            origin = (letter.origin_partition, letter.origin_offset, letter.reason, hash((letter.key, letter.value)))
            if origin not in seen:
                seen.add(origin)
                yield letter

    async def show(self, number: int) -> StoredDeadLetter | None:
        """One dead letter, None where the topic does not hold it."""
        record = await self._inspector.record_at(DEAD_LETTERS.name, _PARTITION, number)
        return _stored(record) if record is not None else None

    async def replay(self, letters: Sequence[StoredDeadLetter]) -> int:
        """Sends the original records to the request topic again, and returns how many.

        What was truncated is left out, as is what holds nothing. A request that was decided meanwhile is answered as a
        duplicate: nothing happens twice.
        """
        whole = [NewRecord(letter.key, letter.value) for letter in letters if letter.value is not None and not letter.truncated]
        await self._publisher.send_all(REQUESTS.name, whole)
        return len(whole)


def _record(letter: DeadLetter, failed_at: str) -> NewRecord:
    record = letter.record
    key, value = record.key, record.value
    truncated = len(key or b"") > BYTES_LIMIT or len(value or b"") > BYTES_LIMIT
    headers = {
        "reason": letter.reason,
        "detail": letter.detail,
        "origin_topic": REQUESTS.name,
        "origin_partition": str(record.partition),
        "origin_offset": str(record.offset),
        "service": "redemption",
        "failed_at": failed_at,
        **({"truncated": "true"} if truncated else {}),
    }
    return NewRecord(
        key[:BYTES_LIMIT] if key is not None else None,
        value[:BYTES_LIMIT] if value is not None else None,
        tuple((name, text.encode()) for name, text in headers.items()),
    )


def _stored(record: Record) -> StoredDeadLetter:
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    return StoredDeadLetter(
        number=record.offset,
        key=record.key,
        value=record.value,
        reason=headers.get("reason", ""),
        detail=headers.get("detail", ""),
        origin_partition=int(headers.get("origin_partition", -1)),
        origin_offset=int(headers.get("origin_offset", -1)),
        failed_at=headers.get("failed_at", ""),
        truncated=headers.get("truncated") == "true",
    )
