"""Runs of jobs, and what the jobs ask of the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import asyncpg

from shared.postgres.queries import Queries

queries: Final = Queries.beside(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of a job. `state`: running, done or failed; `message` is a sentence about the result."""

    id: int
    job: str
    due_at: datetime
    by_hand: bool
    attempts: int
    started_at: datetime
    finished_at: datetime | None
    state: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A run that is this process's to do. What an older attempt says of the run is not noted any more."""

    id: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two figures that should be the same. `what` names them; `found` is the ledger's (or ranking's), `totals` ours."""

    campaign_id: str
    store_id: str
    batch_id: str | None
    what: str
    found: int
    totals: int


class RunStore:
    """Claims, beats and ends runs."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def claim(self, job: str, due_at: datetime, host: str) -> Attempt | None:
        """The attempt for exactly one of all callers, None for the others."""
        row = await self._pool.fetchrow(queries.claim_run, job, due_at, host)
        return Attempt(**dict(row)) if row is not None else None

    async def begin(self, job: str, due_at: datetime, host: str) -> Attempt:
        (row,) = await self._pool.fetch(queries.begin_run, job, due_at, host)
        return Attempt(**dict(row))

    async def unfinished(self, job: str, since: datetime) -> list[datetime]:
        """When runs were due that were begun, came to no good end and may be begun again, oldest first."""
        return [row["due_at"] for row in await self._pool.fetch(queries.unfinished_runs, job, since)]

    async def beat(self, run: Attempt) -> None:
        await self._pool.execute(queries.beat, run.id, run.attempt)

    async def end(self, run: Attempt, *, state: str, message: str) -> None:
        await self._pool.execute(queries.end_run, run.id, run.attempt, state, message[:2000])

    async def run_of(self, job: str, due_at: datetime) -> Run | None:
        row = await self._pool.fetchrow(queries.run_of, job, due_at)
        return Run(**dict(row)) if row is not None else None

    async def last_due(self, job: str, now: datetime) -> datetime | None:
        """When the latest timed run up to now was due."""
        last: datetime | None = await self._pool.fetchval(queries.last_due, job, now)
        return last

    async def runs(self, *, job: str | None, before: int | None, limit: int) -> list[Run]:
        """The latest runs, newest first, those with ids below `before`."""
        return [Run(**dict(row)) for row in await self._pool.fetch(queries.runs, job, before, limit)]


class CareStore:
    """The identity, maintenance and retention."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def differences(self) -> list[Difference]:
        """All figures that do not agree, in one snapshot."""
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            oldest = await connection.fetchval(queries.retained_from, timeout=60)
            rows: list[Any] = []
            rows += await connection.fetch(queries.identity_of_totals, oldest, timeout=600)
            rows += await connection.fetch(queries.identity_of_facts, timeout=600)
            rows += await connection.fetch(queries.identity_of_days, timeout=600)
            rows += await connection.fetch(queries.identity_of_batch_hours, oldest, timeout=600)
            rows += await connection.fetch(queries.identity_of_players, timeout=600)
            rows += await connection.fetch(queries.identity_of_codes, timeout=600)
            rows += await connection.fetch(queries.identity_of_ranking, timeout=600)
        return [
            Difference(
                campaign_id=row["campaign_id"],
                store_id=row["store_id"],
                batch_id=row["batch_id"],
                what=row["what"],
                found=int(row["ledger"]),
                totals=int(row["totals"]),
            )
            for row in rows
        ]

    async def note_comparison(self, differences: int) -> None:
        await self._pool.execute(queries.note_comparison, differences)

    async def last_comparison(self) -> tuple[datetime, int] | None:
        """When figures were compared last, by whichever process, and how many differed; None when they never were."""
        row = await self._pool.fetchrow(queries.last_comparison)
        return (row["compared_at"], row["differences"]) if row is not None else None

    async def maintain(self, months: Sequence[date]) -> int:
        """Makes the months' partitions, forgets empty players (gives how many), refreshes statistics."""
        for month in months:
            await self._pool.execute(queries.ensure_month, month, "")
        forgotten = await self._pool.execute(queries.forget_players, timeout=600)
        await self._pool.execute(queries.forget_downloads)
        await self._pool.execute(queries.analyze, timeout=600)
        return int(forgotten.split()[-1])

    async def merge_players(self, most: int) -> int:
        """Merges what folds noted on players, at most so many notes; gives how many. No figure changes by it."""
        return int(await self._pool.fetchval(queries.merge_players, most))

    async def detach_months_before(self, moment: datetime) -> list[str]:
        """Detaches the months that end at or before the moment; gives their names."""
        detached = []
        for row in await self._pool.fetch(queries.old_months, moment):
            await self._pool.execute(queries.detach_month, row["parent"], row["partition"], timeout=120)
            detached.append(row["partition"])
        return detached
