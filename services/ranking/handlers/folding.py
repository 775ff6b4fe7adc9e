"""Folding outcomes into the tables: place, mark and scores in one transaction, several partitions together (rule 16)."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from services.ranking.domain.places import Place
from services.ranking.domain.roster import StoreIndex
from services.ranking.domain.scores import ScoreChanges
from services.ranking.handlers.counting import Chunk
from services.ranking.store.scores import ScoreStore
from shared.contracts.topics import OUTCOMES
from shared.kafka.errors import Retryable
from shared.postgres.errors import is_retryable
from shared.telemetry import traces


@dataclass(frozen=True, slots=True)
class _Submitted:
    partition: int
    chunks: Sequence[Chunk]
    folded: asyncio.Future[Place]


class Folder:
    """Folds the chunks of all partitions of this process, those that are ready at the same time in one transaction.

    Stores that are on every partition are then written once, not once a partition. At most one transaction runs, and they
    begin at least `interval_seconds` apart, so that a stream of single outcomes becomes a few writes a second.
    """

    def __init__(self, store: ScoreStore, index: StoreIndex, *, interval_seconds: float) -> None:
        self._store = store
        self._index = index
        self._interval_seconds = interval_seconds
        self._submitted: asyncio.Queue[_Submitted] = asyncio.Queue()

    async def fold(self, partition: int, chunks: Sequence[Chunk]) -> Place:
        """Folds chunks that follow each other, and returns the place in the table afterwards.

        That is the last one's end, or, when the table was somewhere else than at the first one's start, that other place; then
        nothing was folded. Raises Retryable while Postgres is away; the place has to be read again then, for the answer to
        a COMMIT may have been lost.
        """
        folded: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._submitted.put_nowait(_Submitted(partition, chunks, folded))
        return await folded

    async def read_place(self, partition: int) -> Place:
        """The partition's place in the table. Raises Retryable while Postgres is away."""
        try:
            return await self._store.read_place(partition)
        except Exception as error:
            raise _as_seen_by_a_loop(error) from error

    async def run(self) -> None:
        """Folds what is submitted until it is cancelled; whoever still waits then is cancelled too."""
        submitted: list[_Submitted] = []
        try:
            while True:
                submitted = [await self._submitted.get()]
                submitted += self._take_the_others()
                started = time.monotonic()
                await self._fold_and_answer(submitted)
                await asyncio.sleep(self._interval_seconds - (time.monotonic() - started))
        finally:
            for one in [*submitted, *self._take_the_others()]:
                one.folded.cancel()

    def _take_the_others(self) -> list[_Submitted]:
        return [self._submitted.get_nowait() for _ in range(self._submitted.qsize())]

    async def _fold_and_answer(self, submitted: Sequence[_Submitted]) -> None:
        carried = chain.from_iterable(chunk.traces for one in submitted for chunk in one.chunks)
        span = traces.batch_span("fold", OUTCOMES.name, carried)
        try:
            places = await self._fold_together({one.partition: one.chunks for one in submitted})
        except Exception as error:
            for one in submitted:
                if not one.folded.done():
                    one.folded.set_exception(_as_seen_by_a_loop(error))
        else:
            for one in submitted:
                if not one.folded.done():
                    one.folded.set_result(places[one.partition])
        finally:
            if span is not None:
                span.end()

    async def _fold_together(self, submitted: Mapping[int, Sequence[Chunk]]) -> dict[int, Place]:
        async with self._store.folding(sorted(submitted)) as transaction:
            fitting = {p: chunks for p, chunks in submitted.items() if transaction.places[p] == chunks[0].start}
            changes = ScoreChanges(self._index)
            for chunk in chain.from_iterable(fitting.values()):
                changes.merge(chunk.changes)
            moved = {partition: chunks[-1].end for partition, chunks in fitting.items()}
            await transaction.fold_scores(changes)
            await transaction.set_places(moved)
            return {**transaction.places, **moved}


def _as_seen_by_a_loop(error: Exception) -> Exception:
    return Retryable(f"Postgres: {type(error).__name__}: {error}") if is_retryable(error) else error
