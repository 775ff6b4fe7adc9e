"""From records of the outcomes topic to what they add to the scores, each outcome once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec
import structlog

from services.ranking.domain.calendar import LocalDays
from services.ranking.domain.places import Place
from services.ranking.domain.scores import ScoreChanges
from shared.contracts.redemption import OutcomeType, Source
from shared.contracts.sources import after_mark
from shared.kafka.records import Record

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
    """What some records of one partition add, from one place to the next. `waiting` are of campaigns that are not known yet."""

    start: Place
    end: Place
    changes: ScoreChanges
    waiting: list[CountedOutcome] = field(default_factory=list)


def count_records(start: Place, records: Sequence[Record], days_of: DaysOf) -> Chunk:
    """Counts the records that are above the place's mark; all of them are at or above its offset.

    A record that is no outcome is logged and left out: if it was one, the next one's predecessor is missing and shows it.
    Raises SourceGap where an outcome is missing (rule 16).
    """
    chunk = Chunk(start=start, end=start, changes=ScoreChanges())
    mark = start.mark
    for outcome in after_mark(mark, _decoded(records)):
        mark = outcome.source
        if outcome.duplicate or outcome.type is OutcomeType.REJECTED:
            continue
        if not count_outcome(chunk.changes, outcome, days_of):
            chunk.waiting.append(outcome)
    chunk.end = Place(next_offset=records[-1].offset + 1 if records else start.next_offset, mark=mark)
    return chunk


def count_outcome(changes: ScoreChanges, outcome: CountedOutcome, days_of: DaysOf) -> bool:
    """Adds an accepted redemption or a reversal to its store and day; False when its campaign is not known.

    A reversal counts on the day of the redemption that it takes back, and its own time counts for `reached_at`.
    """
    campaign_id, store_id, occurred_at = outcome.campaign_id, outcome.store_id, outcome.occurred_at
    if campaign_id is None or store_id is None:
        return True
    days = days_of(campaign_id)
    if days is None:
        return False
    if outcome.type is OutcomeType.ACCEPTED:
        changes.count((campaign_id, days.day_of(occurred_at), store_id), 1, 0, occurred_at)
    else:
        day = days.day_of(outcome.redeemed_occurred_at or occurred_at)
        changes.count((campaign_id, day, store_id), 0, 1, occurred_at)
    return True


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
