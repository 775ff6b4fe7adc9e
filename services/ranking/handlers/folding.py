"""Folding outcomes into the tables: place, mark and scores in one transaction, several partitions together (rule 16)."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from services.ranking.domain.places import Place
from services.ranking.domain.scores import ScoreChanges
from services.ranking.handlers.counting import Chunk
from services.ranking.store import RankingStore
from shared.kafka.errors import Retryable
from shared.postgres.errors import is_retryable


@dataclass(frozen=True, slots=True)
class _Submitted:
    partition: int
    chunk: Chunk
    folded: asyncio.Future[Place]


class Folder:
    """Folds the chunks of all partitions of this process, those that are ready at the same time in one transaction.

    Stores that are on every partition are then written once, not once a partition. At most one transaction runs, and they
    begin at least `interval_seconds` apart, so that a stream of single outcomes becomes a few writes a second.
    """

    def __init__(self, store: RankingStore, *, interval_seconds: float) -> None:
        self._store = store
        self._interval_seconds = interval_seconds
        self._submitted: asyncio.Queue[_Submitted] = asyncio.Queue()

    async def fold(self, partition: int, chunk: Chunk) -> Place:
        """Folds a chunk, and returns the place in the table afterwards.

        That is the chunk's end, or, when the table was somewhere else than at the chunk's start, that other place; then
        nothing was folded. Raises Retryable while Postgres is away; the place has to be read again then, for the answer to
        a COMMIT may have been lost.
        """
        folded: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._submitted.put_nowait(_Submitted(partition, chunk, folded))
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
        chunks = {one.partition: one.chunk for one in submitted}
        try:
            places = await self._fold_together(chunks)
        except Exception as error:
            for one in submitted:
                if not one.folded.done():
                    one.folded.set_exception(_as_seen_by_a_loop(error))
        else:
            for one in submitted:
                if not one.folded.done():
                    one.folded.set_result(places[one.partition])

    async def _fold_together(self, chunks: dict[int, Chunk]) -> dict[int, Place]:
        async with self._store.folding(sorted(chunks)) as transaction:
            fitting = {p: chunk for p, chunk in chunks.items() if transaction.places[p] == chunk.start}
            changes = ScoreChanges()
            for chunk in fitting.values():
                changes.merge(chunk.changes)
            await transaction.fold_scores(changes)
            await transaction.set_places({partition: chunk.end for partition, chunk in fitting.items()})
            return {**transaction.places, **{partition: chunk.end for partition, chunk in fitting.items()}}


def _as_seen_by_a_loop(error: Exception) -> Exception:
    return Retryable(f"Postgres: {type(error).__name__}: {error}") if is_retryable(error) else error
