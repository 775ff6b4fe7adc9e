"""Understanding records: requests with what their codes lead to, and dead letters for the rest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from services.redemption.domain.catalogue import Catalogue
from services.redemption.domain.requests import ABSENT, CodeReading, CodeState, Received
from services.redemption.handlers.codes import CodeReader
from services.redemption.handlers.dead_letters import INTERNAL, DeadLetter
from shared.contracts.codec import InvalidEvent
from shared.contracts.game_platforms import REQUEST_BYTES_LIMIT, Request, parse_request
from shared.contracts.redemption import Source
from shared.kafka.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """A batch of records, apart: what can be decided and what cannot, each in offset order."""

    records: Sequence[Record]
    requests: Sequence[Received]
    dead_letters: Sequence[DeadLetter]
    missing_campaigns: frozenset[str]

    @property
    def needs_newer_batches(self) -> bool:
        """Whether the topics must be read to their ends before this may be decided (rule 22)."""
        return bool(self.missing_campaigns) or any(r.reading.state is CodeState.UNKNOWN for r in self.requests)

    def without(self, offset: int) -> "Understood":
        """The batch without the request at this offset."""
        return replace(self, requests=[r for r in self.requests if r.source.offset != offset])

    def dead_letter(self, offset: int, reason: str, detail: str) -> DeadLetter:
        """The record at this offset as a dead letter."""
        return DeadLetter(next(record for record in self.records if record.offset == offset), reason, detail)


class Understanding:
    """Reads records by the key ring and the catalogue."""

    def __init__(self, codes: CodeReader, catalogue: Catalogue) -> None:
        self._codes = codes
        self._catalogue = catalogue

    def understand(self, records: Sequence[Record], epoch: int) -> Understood:
        """Decodes all, then reads all codes together."""
        parsed: list[tuple[Record, Request]] = []
        dead_letters: list[DeadLetter] = []
        for record in records:
            try:
                parsed.append((record, _parse(record)))
            except InvalidEvent as error:
                dead_letters.append(DeadLetter(record, error.reason, error.detail))
            except Exception as error:
                dead_letters.append(DeadLetter(record, INTERNAL, f"the record could not be read: {type(error).__name__}"))
        readings = self._read_codes([request for _, request in parsed])
        return Understood(
            records=records,
            requests=[
                _received(record, request, reading, epoch) for (record, request), reading in zip(parsed, readings, strict=True)
            ],
            dead_letters=dead_letters,
            missing_campaigns=self._missing(readings),
        )

    def _read_codes(self, requests: Sequence[Request]) -> Iterable[CodeReading]:
        readings = iter(self._codes.read([request.code for request in requests if request.code is not None]))
        return [next(readings) if request.code is not None else ABSENT for request in requests]

    def _missing(self, readings: Iterable[CodeReading]) -> frozenset[str]:
        named = {reading.batch.campaign_id for reading in readings if reading.batch is not None}
        return frozenset(campaign for campaign in named if self._catalogue.campaign(campaign) is None)


def _parse(record: Record) -> Request:
    if len(record.key or b"") + len(record.value or b"") > REQUEST_BYTES_LIMIT:
        raise InvalidEvent("TOO_LARGE", f"key and value have more than {REQUEST_BYTES_LIMIT} bytes")
    return parse_request(record.value)


def _received(record: Record, request: Request, reading: CodeReading, epoch: int) -> Received:
    return Received(
        request=request,
        reading=reading,
        source=Source(epoch=epoch, partition=record.partition, offset=record.offset),
        received_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        received_milliseconds=record.timestamp,
        key=record.key,
    )
