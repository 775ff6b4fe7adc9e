"""The ledger in a dump: written as CSV, and loaded into an empty system so that every other service learns of it.

A loaded ledger is the past of the request topic: its outcomes keep their sources, go out once more through the outboxes of
their partitions, and what is decided from now on belongs to a new epoch.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import msgspec
import numpy as np
import structlog

from services.redemption.domain.ledger import LedgerEntry
from services.redemption.domain.outcomes import accepted_of, reversal_of
from services.redemption.domain.places import Place, StoredOutcome, StoredOutcomes
from services.redemption.handlers.outbox import BatchPublisher, compress, decompress, publish_outcomes
from services.redemption.store.errors import PlaceLost
from services.redemption.store.fixtures import REDEMPTIONS_FILE, REVERSALS_FILE, LedgerFiles, LoadingTransaction
from services.redemption.store.mending import Mending
from shared.codes.alphabet import CODE_LENGTH, hint, values_to_texts
from shared.codes.ff1 import Ff1
from shared.codes.key_ring import KeyRing
from shared.contracts.codec import encode, format_time
from shared.contracts.redemption import Outcome, Source
from shared.contracts.topics import OUTCOMES, REQUESTS

BATCHES_FILE: Final = "batches.jsonl"

log = structlog.get_logger(__name__)


class CannotLoad(Exception):  # noqa: N818 (told to an operator)
    """The ledger cannot be loaded here. The text says why; nothing was stored."""


class Logs(Protocol):
    """What is asked of Kafka."""

    async def partitions(self, topic: str) -> int: ...
    async def bounds(self, topic: str, partition: int) -> tuple[int, int]: ...
    async def ends(self, topic: str) -> Mapping[int, int]: ...


class _BatchKey(msgspec.Struct, frozen=True):
    """As much of a dumped batch as is needed here."""

    id: str
    key_id: str


class LedgerFixtures:
    """The commands. They may run beside the service: the versions tell the loops that their places have moved."""

    def __init__(self, files: LedgerFiles, mending: Mending, logs: Logs, publisher: BatchPublisher, ring: KeyRing) -> None:
        self._files = files
        self._mending = mending
        self._logs = logs
        self._publisher = publisher
        self._ring = ring

    async def obstacles(self, folder: Path) -> list[str]:
        """What is in the way of a load, in words; nothing in an empty system, and in one that holds this very ledger."""
        counts = await self._files.count()
        if counts.redemptions and not await self.is_loaded(folder):
            return [f"{counts.redemptions:,} redemptions"]
        if not counts.redemptions and any(end > 0 for end in (await self._logs.ends(OUTCOMES.name)).values()):
            return [f"outcomes on {OUTCOMES.name} that were decided here"]
        return []

    async def is_loaded(self, folder: Path) -> bool:
        """Whether the ledger is the folder's to the byte."""
        with tempfile.TemporaryDirectory(prefix="counterfoil-ledger-") as name:
            await self._files.dump(Path(name))
            same = (
                (Path(name) / file).read_bytes() == (folder / file).read_bytes() for file in (REDEMPTIONS_FILE, REVERSALS_FILE)
            )
            return all(same)

    async def load(self, folder: Path) -> int:
        """Fills the ledger and publishes its outcomes; how many there are. What was loaded before is filled in no second time.

        Raises CannotLoad, UnreadableLedger, PlaceLost, and Retryable when Kafka is away: loading again goes on.
        """
        partitions = list(range(await self._logs.partitions(REQUESTS.name)))
        firsts = {partition: (await self._logs.bounds(REQUESTS.name, partition))[0] for partition in partitions}
        hints = _Hints(self._ring, _keys_of_batches(folder))
        async with self._files.loading() as ledger:
            if not (await ledger.count()).redemptions:
                await ledger.copy(folder)
                await ledger.count_campaigns()
                await _place_outcomes(ledger, await ledger.places(partitions, firsts.__getitem__), hints)
            counts = await ledger.count()
        for place in await self._mending.places():
            await publish_outcomes(self._publisher, decompress(place.outbox))
            await self._empty_outbox(place)
        log.info("ledger loaded", redemptions=counts.redemptions, reversals=counts.reversals)
        return counts.redemptions + counts.reversals

    async def _empty_outbox(self, published: Place) -> None:
        """A whole ledger need not be published once more by everyone who takes the partition over before its first request."""
        if published.outbox is None:
            return
        with suppress(PlaceLost):
            async with self._files.loading() as ledger:
                await ledger.move_place(published, replace(published, outbox=None))


class _Hints:
    """What may be shown of codes, computed from their serials."""

    def __init__(self, ring: KeyRing, key_of_batch: Mapping[str, str]) -> None:
        self._ciphers = {key.id: Ff1(key.key) for key in ring.keys}
        self._key_of_batch = key_of_batch

    def of(self, entries: Sequence[LedgerEntry]) -> dict[int, str]:
        """By serial. Raises CannotLoad for a batch that the dump does not have."""
        serials: dict[str, list[int]] = {}
        for entry in entries:
            key_id = self._key_of_batch.get(entry.batch_id)
            if key_id not in self._ciphers:
                raise CannotLoad(f"the ledger names the batch {entry.batch_id}, which the dump or its key ring does not have")
            serials.setdefault(key_id, []).append(entry.serial)
        found: dict[int, str] = {}
        for key_id, wanted in serials.items():
            signs = values_to_texts(self._ciphers[key_id].encrypt(np.array(wanted, dtype=np.int64))).tobytes().decode()
            found |= {
                serial: hint(signs[place * CODE_LENGTH : (place + 1) * CODE_LENGTH]) for place, serial in enumerate(wanted)
            }
        return found


async def _place_outcomes(ledger: LoadingTransaction, places: Mapping[int, Place], hints: _Hints) -> None:
    """Puts the ledger's outcomes into the outboxes of their partitions, and all partitions into a new epoch."""
    counts = await ledger.count()
    if counts.partition is not None and counts.partition not in places:
        raise CannotLoad(
            f"the ledger was written with {counts.partition + 1} request partitions or more, {REQUESTS.name} has {len(places)} "
            "here: add partitions to it and to the outcomes first"
        )
    epoch = max(counts.epoch or 0, *(place.epoch for place in places.values())) + 1
    for partition, place in places.items():
        outcomes = _outcomes(await ledger.entries_of(partition), partition, hints)
        moved = replace(place, epoch=epoch, outbox=compress(_stored(outcomes)))
        if outcomes:
            moved = replace(moved, last_source=outcomes[-1].source)
        await ledger.move_place(place, moved)


def _outcomes(entries: Sequence[LedgerEntry], partition: int, hints: _Hints) -> list[Outcome]:
    """The outcomes of one partition in the order of their sources, each with the one before it."""
    shown = hints.of(entries)
    made = sorted(_sources(entries, partition), key=lambda pair: pair[0])
    outcomes: list[Outcome] = []
    for source, entry in made:
        prev = outcomes[-1].source if outcomes else None
        make = accepted_of if source == entry.source else reversal_of
        outcomes.append(make(entry, shown[entry.serial], prev))
    return outcomes


def _sources(entries: Iterable[LedgerEntry], partition: int) -> Iterable[tuple[Source, LedgerEntry]]:
    for entry in entries:
        if entry.source.partition == partition:
            yield entry.source, entry
        if entry.reversal is not None and entry.reversal.source.partition == partition:
            yield entry.reversal.source, entry


def _stored(outcomes: Sequence[Outcome]) -> StoredOutcomes | None:
    if not outcomes:
        return None
    last = outcomes[-1]
    return StoredOutcomes(
        epoch=last.source.epoch,
        partition=last.source.partition,
        decided_at=format_time(last.decided_at),
        outcomes=[StoredOutcome(None, encode(outcome), outcome.source.offset, outcome.type.value) for outcome in outcomes],
    )


def _keys_of_batches(folder: Path) -> dict[str, str]:
    decoder = msgspec.json.Decoder(_BatchKey)
    batches = [decoder.decode(line) for line in (folder / BATCHES_FILE).read_bytes().splitlines()]
    return {batch.id: batch.key_id for batch in batches}
