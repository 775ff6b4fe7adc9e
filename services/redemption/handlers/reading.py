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
    """A batch of records, apart: what can be decided and what cannot, each in offset order.

    `has_unknown_codes` or `missing_campaigns`: the topics must be read to their ends before this may be decided (rule 22).
    `version` is the catalogue's that it was understood by.
    """

    records: Sequence[Record]
    requests: Sequence[Received]
    dead_letters: Sequence[DeadLetter]
    missing_campaigns: frozenset[str]
    has_unknown_codes: bool
    version: int

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
        parsed: list[Record] = []
        requests: list[Request] = []
        dead_letters: list[DeadLetter] = []
        for record in records:
            try:
                requests.append(_parse(record))
                parsed.append(record)
            except InvalidEvent as error:
                dead_letters.append(DeadLetter(record, error.reason, error.detail))
            except Exception as error:
                dead_letters.append(DeadLetter(record, INTERNAL, f"the record could not be read: {type(error).__name__}"))
        readings = self._read_codes(requests)
        return Understood(
            records=records,
            requests=_received(parsed, requests, readings, epoch),
            dead_letters=dead_letters,
            missing_campaigns=self._missing(readings),
            has_unknown_codes=CodeState.UNKNOWN in {reading.state for reading in readings},
            version=self._catalogue.version,
        )

    def is_current(self, understood: Understood) -> bool:
        """Whether it would be understood the same now."""
        return understood.version == self._catalogue.version

    def _read_codes(self, requests: Sequence[Request]) -> Sequence[CodeReading]:
        codes = [request.code for request in requests]
        given = [code for code in codes if code is not None]
        readings = self._codes.read(given)
        if len(given) == len(codes):
            return readings
        each = iter(readings)
        return [next(each) if code is not None else ABSENT for code in codes]

    def _missing(self, readings: Iterable[CodeReading]) -> frozenset[str]:
        batches = {reading.batch.id: reading.batch for reading in readings if reading.batch is not None}
        return frozenset(b.campaign_id for b in batches.values() if self._catalogue.campaign(b.campaign_id) is None)


def _parse(record: Record) -> Request:
    if len(record.key or b"") + len(record.value or b"") > REQUEST_BYTES_LIMIT:
        raise InvalidEvent("TOO_LARGE", f"key and value have more than {REQUEST_BYTES_LIMIT} bytes")
    return parse_request(record.value)


def _received(
    records: Sequence[Record], requests: Sequence[Request], readings: Sequence[CodeReading], epoch: int
) -> list[Received]:
    """The requests with when they were appended. Records of one append have one time, which is made once."""
    moments = {at: datetime.fromtimestamp(at / 1000, UTC) for at in {record.timestamp for record in records}}
    return [
        Received(
            request=request,
            reading=reading,
            source=Source(epoch=epoch, partition=record.partition, offset=record.offset),
            received_at=moments[record.timestamp],
            received_milliseconds=record.timestamp,
            key=record.key,
        )
        for record, request, reading in zip(records, requests, readings, strict=True)
    ]
