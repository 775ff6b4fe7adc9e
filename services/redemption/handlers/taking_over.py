"""Taking a partition over from whoever had it (`protocol.md`, rule 2)."""

from typing import Final, Protocol

import msgspec

from services.redemption.domain.places import Logs, Mark, Place, Stop, find_lost_commit, find_stop
from services.redemption.handlers.deciding import hash_key
from services.redemption.handlers.outbox import BatchPublisher, decompress, publish_outcomes
from services.redemption.store.transactions import PartitionLedger
from shared.contracts.redemption import Source
from shared.contracts.topics import OUTCOMES, REQUESTS
from shared.kafka.errors import PartitionStopped
from shared.kafka.inspecting import LogInspector

OUTCOMES_LOOKED_AT: Final = 10_000
"""How far back the last outcome is searched for: a process that was paused may have repeated an older batch after it."""


class _Sourced(msgspec.Struct, frozen=True):
    source: Source


_decode_source: Final = msgspec.json.Decoder(_Sourced)


class LogBounds(Protocol):
    """The first offset that a partition's log holds, and its end."""

    async def bounds(self) -> tuple[int, int]: ...


async def take_over(
    partition: int, ledger: PartitionLedger, bounds: LogBounds, inspector: LogInspector, publisher: BatchPublisher
) -> Place:
    """The place to go on from, with its outbox published again and the logs found to agree with it.

    The outcomes are looked at before the outbox is published, which would hide what Postgres has lost; a stop changes
    nothing. Raises PartitionStopped, Retryable.
    """
    first, end = await bounds.bounds()
    place = await _read_or_create(partition, ledger, first)
    _stop_at(find_lost_commit(place, await last_outcome(inspector, partition)))
    await publish_outcomes(publisher, decompress(place.outbox))
    before = await mark_before(inspector, place)
    _stop_at(find_stop(place, Logs(first=first, end=end, before=before)))
    return place


async def last_outcome(inspector: LogInspector, partition: int) -> Source | None:
    """The highest source among the last outcomes of a partition, None where the topic holds none."""
    first, end = await inspector.bounds(OUTCOMES.name, partition)
    start = max(first, end - OUTCOMES_LOOKED_AT)
    sources = [
        _decode_source.decode(record.value).source
        async for record in inspector.read(OUTCOMES.name, partition, start, end)
        if record.value is not None
    ]
    return max(sources, default=None)


async def mark_before(inspector: LogInspector, place: Place) -> Mark | None:
    """The record before the place, as it can be known again; None where none was decided or the log no longer holds it."""
    if place.last_key_hash is None:
        return None
    record = await inspector.record_at(REQUESTS.name, place.partition, place.position - 1)
    return Mark(key_hash=hash_key(record.key), timestamp=record.timestamp) if record is not None else None


async def _read_or_create(partition: int, ledger: PartitionLedger, first: int) -> Place:
    place = await ledger.read_place(partition)
    if place is None:
        await ledger.create_place(partition, first)
        place = await ledger.read_place(partition)
    assert place is not None
    return place


def _stop_at(stop: Stop | None) -> None:
    if stop is not None:
        raise PartitionStopped(stop.reason, stop.command)
