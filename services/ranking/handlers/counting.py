"""From records of the outcomes topic to what they add to the scores, each outcome once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec
import structlog

from services.ranking.domain.calendar import QUARTER_US, LocalDays, is_of_one_day, microseconds_of
from services.ranking.domain.places import Place
from services.ranking.domain.roster import StoreIndex
from services.ranking.domain.scores import DayChanges, ScoreChanges
from shared.contracts.redemption import OutcomeType, Source
from shared.contracts.sources import after_mark
from shared.kafka.records import Record
from shared.telemetry.traces import carried_headers

log = structlog.get_logger(__name__)

DaysOf = Callable[[str], LocalDays | None]
"""The local days of a campaign's zone, None for a campaign that is not known (yet)."""


class CountedOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fields of `shared.contracts.redemption.Outcome` that counting needs; the others are not decoded."""

    type: OutcomeType
    duplicate: bool
    campaign_id: str | None
    store_id: str | None
    occurred_at: datetime
    source: Source
    prev: Source | None
    redeemed_occurred_at: datetime | None = None


_decode: Final = msgspec.json.Decoder(CountedOutcome).decode


@dataclass(slots=True, kw_only=True)
class Chunk:
    """What some records of one partition add, from one place to the next. `waiting` are of campaigns that are not known yet.

    `traces` are those that the records carry, where tracing is on.
    """

    start: Place
    end: Place
    changes: ScoreChanges
    waiting: list[CountedOutcome] = field(default_factory=list)
    traces: Sequence[bytes] = ()


class OutcomeCounter:
    """Counts outcomes into changes. Remembers which day a quarter of an hour belongs to (no day begins within one)."""

    def __init__(self, changes: ScoreChanges, days_of: DaysOf) -> None:
        self._changes = changes
        self._days_of = days_of
        self._known_number = changes.index.numbers.get
        self._days: dict[tuple[str, int], DayChanges] = {}

    def count(self, outcome: CountedOutcome) -> bool:
        """Adds an accepted redemption or a reversal to its store and day; False when its campaign is not known.

        A reversal counts on the day of the redemption that it takes back, and its own time counts for `reached_at`.
        """
        campaign_id, store_id = outcome.campaign_id, outcome.store_id
        if campaign_id is None or store_id is None:
            return True
        moment_us = microseconds_of(outcome.occurred_at)
        accepted = outcome.type is OutcomeType.ACCEPTED
        counted_us = moment_us if accepted else microseconds_of(outcome.redeemed_occurred_at or outcome.occurred_at)
        day = self._days.get((campaign_id, counted_us // QUARTER_US)) or self._find_day(campaign_id, counted_us)
        if day is None:
            return False
        number = self._known_number(store_id)
        if number is None:
            number = self._changes.index.number(store_id)
        if accepted:
            day.redeemed.append(number)
            day.redeemed_at_us.append(moment_us)
        else:
            day.reversed.append(number)
            day.reversed_at_us.append(moment_us)
        return True

    def _find_day(self, campaign_id: str, counted_us: int) -> DayChanges | None:
        days = self._days_of(campaign_id)
        if days is None:
            return None
        found = self._changes.day(campaign_id, days.day_of_us(counted_us))
        if is_of_one_day(counted_us):
            self._days[campaign_id, counted_us // QUARTER_US] = found
        return found


def count_records(start: Place, records: Sequence[Record], days_of: DaysOf, index: StoreIndex) -> Chunk:
    """Counts the records that are above the place's mark; all of them are at or above its offset.

    A record that is no outcome is logged and left out: if it was one, the next one's predecessor is missing and shows it.
    Raises SourceGap where an outcome is missing (rule 16).
    """
    chunk = Chunk(start=start, end=start, changes=ScoreChanges(index), traces=tuple(carried_headers(records).values()))
    count, mark = OutcomeCounter(chunk.changes, days_of).count, start.mark
    for outcome in after_mark(mark, _decoded(records)):
        mark = outcome.source
        if outcome.duplicate or outcome.type is OutcomeType.REJECTED:
            continue
        if not count(outcome):
            chunk.waiting.append(outcome)
    chunk.end = Place(next_offset=records[-1].offset + 1 if records else start.next_offset, mark=mark)
    return chunk


def _decoded(records: Sequence[Record]) -> Sequence[CountedOutcome]:
    try:
        return list(map(_decode, [record.value or b"" for record in records]))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [outcome for record in records if (outcome := _decode_or_log(record)) is not None]


def _decode_or_log(record: Record) -> CountedOutcome | None:
    try:
        return _decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        log.error("record is no outcome", partition=record.partition, offset=record.offset, reason=str(error))
        return None
