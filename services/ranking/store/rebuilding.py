"""The shadow tables of a rebuild."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Final

import asyncpg

from services.ranking.domain.places import Place
from services.ranking.domain.scores import DayScore, ScoreChanges
from services.ranking.store.scores import place_arguments, place_of, score_arguments
from shared.postgres.queries import Queries

QUERIES: Final = Queries.beside(__file__)
LONG_SECONDS: Final = 600.0


class RebuildRunning(Exception):  # noqa: N818 (told to an operator)
    """Another rebuild holds the shadow tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A row that was wrong; None where there was none, or should be none."""

    campaign_id: str
    day: date
    store_id: str
    before: DayScore | None
    rebuilt: DayScore | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """How the rebuilt rows compare with those of before; some examples at most."""

    rows: int
    count: int
    examples: Sequence[Difference]


class Shadow:
    """The shadow tables while their lock is held."""

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy) -> None:
        self._connection = connection

    async def begin(self) -> dict[int, Place]:
        """Keeps the scores of now for the comparison, and returns the places that they stand for."""
        await self._connection.execute(QUERIES.clear_rebuild)
        async with self._connection.transaction(isolation="repeatable_read"):
            rows = await self._connection.fetch(QUERIES.read_places)
            await self._connection.execute(QUERIES.copy_scores_before_rebuild, timeout=LONG_SECONDS)
        return {row["partition"]: place_of(row) for row in rows}

    async def add(self, changes: ScoreChanges) -> None:
        """Adds to the shadow scores."""
        if len(changes):
            await self._connection.execute(QUERIES.fold_rebuilt_scores, *score_arguments(changes))

    async def compare(self) -> Differences:
        """Compares the shadow scores with those that were kept."""
        rows = await self._connection.fetch(QUERIES.compare_rebuilt_scores, timeout=LONG_SECONDS)
        return Differences(
            rows=await self._connection.fetchval(QUERIES.count_rebuilt_scores),
            count=rows[0]["differences"] if rows else 0,
            examples=[_difference(row) for row in rows],
        )

    async def swap(self, places: Mapping[int, Place], differences: int) -> None:
        """Puts the shadow scores and their places in place of the others, in one transaction that no fold overlaps."""
        async with self._connection.transaction():
            await self._connection.execute(QUERIES.lock_all_places)
            await self._connection.execute(QUERIES.delete_scores, timeout=LONG_SECONDS)
            await self._connection.execute(QUERIES.take_rebuilt_scores, timeout=LONG_SECONDS)
            await self._connection.execute(QUERIES.set_places, *place_arguments(places))
            await self._connection.execute(QUERIES.note_rebuild, differences)


class RebuildStore:
    """The tables of rebuilds."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def rebuilding(self) -> AsyncIterator[Shadow]:
        """The shadow tables, locked against a second rebuild. Raises RebuildRunning."""
        async with self._pool.acquire() as connection:
            if not await connection.fetchval(QUERIES.lock_rebuild):
                raise RebuildRunning("another rebuild is running")
            try:
                yield Shadow(connection)
            finally:
                await connection.execute(QUERIES.unlock_rebuild)


def _difference(row: asyncpg.Record) -> Difference:
    before = rebuilt = None
    if row["redemptions_before"] is not None:
        before = DayScore(row["redemptions_before"], row["reversals_before"], row["reached_at_before"])
    if row["redemptions"] is not None:
        rebuilt = DayScore(row["redemptions"], row["reversals"], row["reached_at"])
    return Difference(campaign_id=row["campaign_id"], day=row["day"], store_id=row["store_id"], before=before, rebuilt=rebuilt)
