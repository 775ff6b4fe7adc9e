"""Folding the next records of a partition: once in effect, however often and by however many they are read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from services.reporting.domain.folding import IncompleteOutcome, fold
from services.reporting.domain.periods import local_day
from services.reporting.store.folding import FoldStore, Place
from shared.contracts.codec import InvalidEvent, decoder
from shared.contracts.ranking import Standing
from shared.contracts.redemption import Outcome, Source
from shared.contracts.sources import SourceGap, after_mark
from shared.contracts.topics import OUTCOMES, STANDINGS
from shared.kafka.errors import PartitionStopped
from shared.kafka.records import Record

REBUILD: Final = "counterfoil jobs run reporting.rebuild"

_decode_outcome = decoder(Outcome)
_decode_standing = decoder(Standing)


class Zones(Protocol):
    """The zones of campaigns: those that the service follows, or those that are stored."""

    def zone_of(self, campaign_id: str) -> ZoneInfo:
        """The zone of a known campaign."""
        ...

    async def wait_for_campaigns(self, ids: Iterable[str]) -> None:
        """Returns when all are known. Raises Retryable when that takes too long."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """What one fold did: the place after it, and how many outcomes counted."""

    place: Place
    outcomes: int


async def fold_outcomes(
    store: FoldStore, reference: Zones, partition: int, *, place: Place, records: Sequence[Record]
) -> Progress:
    """Folds a partition's next records, which follow `place`. Folding the same again changes nothing.

    Raises PartitionStopped for what must not be skipped, PlaceMoved when another process was here, Retryable for a campaign
    that is not known yet.
    """
    try:
        fresh = list(after_mark(place.mark, [_outcome(record) for record in records]))
    except SourceGap as gap:
        raise PartitionStopped(f"Outcomes of partition {partition} are missing: {gap}.", REBUILD) from gap
    await reference.wait_for_campaigns({o.campaign_id for o in fresh if o.campaign_id is not None})
    try:
        folded = fold(fresh, reference.zone_of)
    except IncompleteOutcome as error:
        raise PartitionStopped(f"An outcome of partition {partition} cannot be counted: {error}.", REBUILD) from error
    mark: Source | None = fresh[-1].source if fresh else place.mark
    after = Place(next_offset=records[-1].offset + 1, mark=mark)
    await store.fold(OUTCOMES.name, partition, expected=place, after=after, folded=folded)
    return Progress(after, len(fresh))


async def fold_standings(
    store: FoldStore, reference: Zones, partition: int, *, place: Place, records: Sequence[Record]
) -> Progress:
    """Takes standings; of several for one store, board and day the last revision stays. Replaying changes nothing."""
    standings = [_standing(record) for record in records if record.value is not None]
    await reference.wait_for_campaigns({standing.campaign_id for standing in standings})
    newest: dict[tuple[str, ...], dict[str, Any]] = {}
    for standing in standings:
        row = _standing_row(standing, reference)
        key = (standing.campaign_id, standing.board, row["day"], standing.store_id)
        if key not in newest or newest[key]["revision"] <= standing.revision:
            newest[key] = row
    after = Place(next_offset=records[-1].offset + 1, mark=None)
    await store.keep_standings(STANDINGS.name, partition, expected=place, after=after, rows=list(newest.values()))
    return Progress(after, len(standings))


def _standing_row(standing: Standing, reference: Zones) -> dict[str, Any]:
    is_all_time = standing.board.startswith("all/")
    day = local_day(standing.as_of, reference.zone_of(standing.campaign_id)).isoformat() if is_all_time else standing.period
    return {
        "campaign_id": standing.campaign_id,
        "board": standing.board,
        "period": standing.period,
        "day": day[:10],
        "store_id": standing.store_id,
        "revision": standing.revision,
        "rank": standing.rank,
        "position": standing.position,
        "score": standing.score,
        "as_of": standing.as_of,
    }


def _outcome(record: Record) -> Outcome:
    try:
        return _decode_outcome(record.value or b"")
    except InvalidEvent as error:
        place = f"{OUTCOMES.name} partition {record.partition} offset {record.offset}"
        raise PartitionStopped(f"The record at {place} is no outcome: {error}.", REBUILD) from error


def _standing(record: Record) -> Standing:
    try:
        return _decode_standing(record.value or b"")
    except InvalidEvent as error:
        place = f"{STANDINGS.name} partition {record.partition} offset {record.offset}"
        raise PartitionStopped(f"The record at {place} is no standing: {error}.", REBUILD) from error
