"""What an operator does about a partition: look, adopt lost outcomes, skip what is gone, begin a new epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import structlog

from services.redemption.domain.places import Logs, Place, Stop, find_lost_commit, find_stop
from services.redemption.domain.recovery import Adopted, adopt, lost_outcomes
from services.redemption.handlers.deciding import hash_key
from services.redemption.handlers.outbox import BatchPublisher, decompress, publish_outcomes
from services.redemption.handlers.taking_over import OUTCOMES_LOOKED_AT, last_outcome, mark_before
from services.redemption.store.mending import Mending
from shared.contracts.redemption import Outcome
from shared.contracts.topics import OUTCOMES, REDEMPTION_GROUP, REQUESTS
from shared.kafka.inspecting import LogInspector

_outcome: Final = msgspec.json.Decoder(Outcome)

log = structlog.get_logger(__name__)


class NothingToMend(Exception):  # noqa: N818
    """The command does not apply. The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPlace:
    """A partition as operators see it. `lag` counts records not decided; `committed` is the group's offset, None for none."""

    partition: int
    epoch: int
    position: int
    version: int
    first: int
    end: int
    lag: int
    committed: int | None
    problem: str | None


class Positions:
    """The commands. Each may be run while the service runs: the version tells the loops that their place has moved."""

    def __init__(self, mending: Mending, inspector: LogInspector, publisher: BatchPublisher) -> None:
        self._mending = mending
        self._inspector = inspector
        self._publisher = publisher

    async def show(self) -> Sequence[ShownPlace]:
        """Every partition's place next to its log, with what is wrong where something is."""
        committed = await self._inspector.committed(REDEMPTION_GROUP, REQUESTS.name)
        return [await self._shown(place, committed.get(place.partition)) for place in await self._mending.places()]

    async def recover(self) -> Sequence[Place]:
        """Takes outcomes that Postgres has lost from the topic back into the ledger; the places that were moved.

        All partitions at once: a redemption on one may follow a reversal on another. Raises NothingToMend, PlaceLost.
        """
        lost: dict[int, Sequence[Outcome]] = {}
        places = {place.partition: place for place in await self._mending.places()}
        for place in places.values():
            if find_lost_commit(place, await last_outcome(self._inspector, place.partition)) is not None:
                lost[place.partition] = await self._lost(place)
        if not lost:
            raise NothingToMend("no partition's outcomes are ahead of the ledger")
        moves = [
            (places[partition], await self._after(places[partition], outcomes[-1])) for partition, outcomes in lost.items()
        ]
        adopted = await self._adopted([outcome for outcomes in lost.values() for outcome in outcomes])
        await self._mending.adopt(adopted, moves)
        return [moved for _, moved in moves]

    async def skip(self, partition: int) -> tuple[int, int]:
        """Goes on at the log's first offset; the offsets that were skipped, first and the one after the last.

        Raises NothingToMend, PlaceLost.
        """
        place = await self._place(partition)
        first, _ = await self._inspector.bounds(REQUESTS.name, partition)
        if place.position >= first:
            raise NothingToMend(f"partition {partition} stands at {place.position}, which the log still holds")
        await publish_outcomes(self._publisher, decompress(place.outbox))
        await self._mending.skip_to(place, first)
        log.warning("offsets skipped", partition=partition, first_offset=place.position, end_offset=first)
        return place.position, first

    async def new_epoch(self, *, force: bool = False) -> int:
        """Starts every partition of a request topic that was made anew at its beginning; the epoch's number.

        The outcomes that were stored but perhaps not published are published first. Raises NothingToMend when no partition
        shows another log than was decided (unless `force`), PlaceLost.
        """
        places = await self._mending.places()
        if not force and not [place for place in places if await self._is_made_anew(place)]:
            raise NothingToMend("no partition shows that the request topic was made anew")
        epoch = max((place.epoch for place in places), default=0) + 1
        for place in places:
            await publish_outcomes(self._publisher, decompress(place.outbox))
            first, _ = await self._bounds_or_empty(place.partition)
            await self._mending.begin_epoch(place, epoch=epoch, position=first)
        log.warning("new epoch", epoch=epoch, partitions=len(places))
        return epoch

    async def _shown(self, place: Place, committed: int | None) -> ShownPlace:
        first, end = await self._bounds_or_empty(place.partition)
        return ShownPlace(
            partition=place.partition,
            epoch=place.epoch,
            position=place.position,
            version=place.version,
            first=first,
            end=end,
            lag=max(0, end - place.position),
            committed=committed,
            problem=await self._problem(place),
        )

    async def _problem(self, place: Place) -> str | None:
        stop = find_lost_commit(place, await last_outcome(self._inspector, place.partition)) or await self._stop(place)
        return f"{stop.reason} To mend it: {stop.command}" if stop is not None else None

    async def _stop(self, place: Place) -> Stop | None:
        first, end = await self._bounds_or_empty(place.partition)
        return find_stop(place, Logs(first=first, end=end, before=await mark_before(self._inspector, place)))

    async def _is_made_anew(self, place: Place) -> bool:
        stop = await self._stop(place)
        return stop is not None and stop.mends_epoch

    async def _bounds_or_empty(self, partition: int) -> tuple[int, int]:
        """A partition that the topic does not have holds nothing."""
        if partition >= await self._inspector.partitions(REQUESTS.name):
            return 0, 0
        return await self._inspector.bounds(REQUESTS.name, partition)

    async def _place(self, partition: int) -> Place:
        for place in await self._mending.places():
            if place.partition == partition:
                return place
        raise NothingToMend(f"partition {partition} has no place yet")

    async def _lost(self, place: Place) -> Sequence[Outcome]:
        """Reads back from the end of the outcomes until the first one that is lost is found."""
        first, end = await self._inspector.bounds(OUTCOMES.name, place.partition)
        reach = OUTCOMES_LOOKED_AT
        while True:
            start = max(first, end - reach)
            records = self._inspector.read(OUTCOMES.name, place.partition, start, end)
            published = [_outcome.decode(record.value) async for record in records if record.value is not None]
            lost = lost_outcomes(place, published)
            if lost is not None:
                return lost
            if start == first:
                raise NothingToMend(f"the outcomes of partition {place.partition} do not hold all that the ledger has lost")
            reach *= 4

    async def _after(self, place: Place, last: Outcome) -> Place:
        record = await self._inspector.record_at(REQUESTS.name, place.partition, last.source.offset)
        return replace(
            place,
            epoch=last.source.epoch,
            position=last.source.offset + 1,
            outbox=None,
            last_key_hash=hash_key(record.key) if record is not None else None,
            last_timestamp=record.timestamp if record is not None else None,
            last_source=last.source,
        )

    async def _adopted(self, lost: Sequence[Outcome]) -> Adopted:
        serials = {outcome.serial for outcome in lost if outcome.serial is not None}
        adopted = adopt(lost, await self._mending.entries_of(serials))
        if adopted.twice:
            log.error("codes were accepted twice while the ledger had lost them", serials=sorted(adopted.twice)[:20])
        log.warning("outcomes adopted", redemptions=len(adopted.redemptions), reversals=len(adopted.reversals))
        return adopted
