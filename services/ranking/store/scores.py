"""Scores by campaign, store and day, and the place and mark of each outcomes partition."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import asyncpg
import numpy as np

from services.ranking.domain.places import UNREAD, Place
from services.ranking.domain.scores import DayScore, ScoreChanges
from shared.contracts.redemption import Source
from shared.postgres.connections import hold
from shared.postgres.halted import ending_halted
from shared.postgres.queries import Queries

QUERIES: Final = Queries.beside(__file__)
SEPARATOR: Final = "\x1f"
"""Between texts that travel as one argument; identifiers hold no control characters."""

SNAPSHOT_ROWS: Final = 5_000
PING_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """One store's counts of one local day."""

    campaign_id: str
    day: date
    store_id: str
    score: DayScore


class FoldTransaction:
    """A transaction that holds the places of some partitions. What it does counts when its block ends well, or not at all."""

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy, places: Mapping[int, Place]) -> None:
        self._connection = connection
        self.places = places

    async def fold_scores(self, changes: ScoreChanges) -> None:
        """Adds the changes to the scores."""
        if not len(changes):
            return
        await self._connection.execute(QUERIES.fold_scores, *score_arguments(changes))

    async def set_places(self, places: Mapping[int, Place]) -> None:
        """Moves the places of partitions that the transaction holds."""
        await self._connection.execute(QUERIES.set_places, *place_arguments(places))


class ScoreStore:
    """The tables `scores` and `outcome_places`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def folding(self, partitions: Sequence[int]) -> AsyncIterator[FoldTransaction]:
        """A transaction with the partitions' places locked, in order."""
        async with ending_halted(self._pool), self._pool.acquire() as connection, connection.transaction():
            await connection.execute(hold())
            await connection.execute(QUERIES.add_places, list(partitions))
            rows = await connection.fetch(QUERIES.lock_places, list(partitions))
            yield FoldTransaction(connection, {row["partition"]: place_of(row) for row in rows})

    async def read_place(self, partition: int) -> Place:
        """The partition's place, UNREAD for one that is new."""
        row = await self._pool.fetchrow(QUERIES.read_place, partition)
        return place_of(row) if row else UNREAD

    async def read_rebuild_number(self) -> int:
        """The number of the last rebuild that was swapped in, 0 before the first."""
        return int(await self._pool.fetchval(QUERIES.read_rebuild_number))

    async def ping(self) -> None:
        """Returns when Postgres answers."""
        await self._pool.execute(QUERIES.ping, timeout=PING_SECONDS)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[tuple[Mapping[int, Place], AsyncIterator[ScoreRow]]]:
        """Places and scores as of one moment (`protocol.md`, rule 17); the rows stream while the block runs."""
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            places = {row["partition"]: place_of(row) for row in await connection.fetch(QUERIES.read_places)}
            yield places, self._score_rows(connection)

    async def _score_rows(self, connection: asyncpg.pool.PoolConnectionProxy) -> AsyncIterator[ScoreRow]:
        async for row in connection.cursor(QUERIES.read_scores, prefetch=SNAPSHOT_ROWS):
            score = DayScore(row["redemptions"], row["reversals"], row["reached_at"])
            yield ScoreRow(campaign_id=row["campaign_id"], day=row["day"], store_id=row["store_id"], score=score)


def score_arguments(changes: ScoreChanges) -> list[str]:
    """The arguments of `fold_scores`: a column each, as text."""
    ids = changes.index.ids
    columns: list[list[Any]] = [[] for _ in range(6)]
    for campaign_id, day, totals in changes.totals():
        rows = len(totals.numbers)
        reached_at = np.datetime_as_string(totals.reached_at_us.astype("datetime64[us]"), timezone="UTC")
        for column, values in zip(
            columns,
            (
                [campaign_id] * rows,
                [day.isoformat()] * rows,
                [ids[number] for number in totals.numbers.tolist()],
                map(str, totals.redemptions.tolist()),
                map(str, totals.reversals.tolist()),
                reached_at.tolist(),
            ),
            strict=True,
        ):
            column.extend(values)
    campaigns, days, stores, *counts = columns
    return [SEPARATOR.join(campaigns), _array(days), SEPARATOR.join(stores), *map(_array, counts)]


def place_arguments(places: Mapping[int, Place]) -> list[list[int | None]]:
    """The arguments of `set_places`."""
    marks = [place.mark for place in places.values()]
    return [
        list(places),
        [place.next_offset for place in places.values()],
        [mark.epoch if mark else None for mark in marks],
        [mark.offset if mark else None for mark in marks],
    ]


def place_of(row: asyncpg.Record) -> Place:
    mark = None
    if row["mark_epoch"] is not None:
        mark = Source(epoch=row["mark_epoch"], partition=row["partition"], offset=row["mark_offset"])
    return Place(next_offset=row["next_offset"], mark=mark)


def _array(items: Sequence[str]) -> str:
    return "{" + ",".join(items) + "}"
