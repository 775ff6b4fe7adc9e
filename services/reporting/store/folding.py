"""Folding outcomes and standings: place, mark, rows and sums change in one transaction (`protocol.md`, rule 16)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import asyncpg
import orjson

from services.reporting.domain.folding import Counts, Folded, TotalKey
from shared.contracts.redemption import Source
from shared.postgres.connections import hold
from shared.postgres.halted import ending_halted
from shared.postgres.queries import Queries

queries: Final = Queries.beside(__file__)
UNAWAITED_AND_BRIEF: Final = f"SET LOCAL synchronous_commit = off; {hold()}"
FOLDED_TABLES: Final = ("ledger", "rejections", "reversals", "hourly_facts", "store_totals", "store_players", "places")

LEDGER_COLUMNS: Final = (
    "campaign_id",
    "occurred_at",
    "redemption_id",
    "event_id",
    "platform",
    "decided_at",
    "serial",
    "batch_id",
    "store_id",
    "store_region",
    "player_id",
)
REVERSAL_COLUMNS: Final = (
    "campaign_id",
    "redeemed_at",
    "redemption_id",
    "reversed_at",
    "decided_at",
    "reason",
    "reopens",
    "serial",
    "batch_id",
    "store_id",
)
REJECTION_COLUMNS: Final = ("campaign_id", "occurred_at", "day", "platform", "outcome", "store_id", "player_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a partition is read from next, and the source of the last outcome folded."""

    next_offset: int
    mark: Source | None


def rebuilding(prefix: str) -> Queries:
    """The same statements on the tables of a rebuild, whose names begin with the prefix."""
    return queries.renamed({table: f"{prefix}{table}" for table in FOLDED_TABLES})


class PlaceMoved(Exception):  # noqa: N818 (an everyday ending of a fold)
    """Someone else folded this partition meanwhile. Nothing was changed: read the place again and go on from it."""


class FoldStore:
    """Writes what was folded, into the live tables or into those of a rebuild. Every method is one transaction."""

    def __init__(self, pool: asyncpg.Pool, *, prefix: str = "") -> None:
        self._pool = pool
        self._prefix = prefix
        self._queries = rebuilding(prefix) if prefix else queries
        self._months: set[date] = set()

    async def place(self, topic: str, partition: int) -> Place:
        """The stored place; the beginning for a partition that was never read."""
        async with self._pool.acquire() as connection:
            await connection.execute(self._queries.make_place, topic, partition)
            return _place(await connection.fetchrow(self._queries.place, topic, partition))

    async def fold(self, topic: str, partition: int, *, expected: Place, after: Place, folded: Folded) -> None:
        """Adds a batch of outcomes and moves the place from `expected` to `after`. Raises PlaceMoved.

        Committing is not waited for on disk: what a crash of the server loses, it loses with the place, and it is folded again.
        """
        async with ending_halted(self._pool):
            await self._ensure_months(folded.months)
        async with ending_halted(self._pool), self._pool.acquire() as connection, connection.transaction():
            await connection.execute(UNAWAITED_AND_BRIEF)
            await self._lock(connection, topic, partition, expected)
            await self._copy_rows(connection, folded)
            changes = await self._add_sums(connection, partition, folded)
            if changes:
                await connection.execute(self._queries.add_totals, orjson.dumps(changes).decode(), partition)
            await self._move(connection, topic, partition, after, folded.last_decided_at)

    async def keep_standings(
        self, topic: str, partition: int, *, expected: Place, after: Place, rows: Sequence[dict[str, Any]]
    ) -> None:
        """Takes standings (the last revision of each key) and moves the place. Raises PlaceMoved."""
        async with ending_halted(self._pool), self._pool.acquire() as connection, connection.transaction():
            await connection.execute(UNAWAITED_AND_BRIEF)
            await self._lock(connection, topic, partition, expected)
            await connection.execute(self._queries.keep_standings, orjson.dumps(rows).decode())
            await self._move(connection, topic, partition, after, None)

    async def _ensure_months(self, months: Iterable[date]) -> None:
        for month in sorted(set(months) - self._months):
            await self._pool.execute(self._queries.ensure_month, month, self._prefix)
            self._months.add(month)

    async def _lock(self, connection: Any, topic: str, partition: int, expected: Place) -> None:
        if _place(await connection.fetchrow(self._queries.lock_place, topic, partition)) != expected:
            raise PlaceMoved

    async def _move(self, connection: Any, topic: str, partition: int, after: Place, decided_at: datetime | None) -> None:
        mark = after.mark
        source = (mark.epoch, mark.partition, mark.offset) if mark else (None, None, None)
        await connection.execute(self._queries.move_place, topic, partition, after.next_offset, *source, decided_at)

    async def _copy_rows(self, connection: Any, folded: Folded) -> None:
        if folded.redemptions:
            await connection.copy_records_to_table(self._prefix + "ledger", records=folded.redemptions, columns=LEDGER_COLUMNS)
        if folded.rejections:
            await connection.copy_records_to_table(
                self._prefix + "rejections", records=folded.rejections, columns=REJECTION_COLUMNS
            )
        if folded.reversals:
            rows = [dict(zip(REVERSAL_COLUMNS, row, strict=True)) for row in folded.reversals]
            await connection.execute(self._queries.add_reversals, orjson.dumps(rows).decode())

    async def _add_sums(self, connection: Any, partition: int, folded: Folded) -> list[dict[str, Any]]:
        """Adds hours and players; returns the rows of the totals, with the changes that only Postgres can tell."""
        if folded.hours:
            await connection.execute(self._queries.add_hours, orjson.dumps(_hour_rows(folded)).decode(), partition)
        players = await self._players(connection, folded)
        in_voids = await self._in_voids(connection, folded)
        keys = {**folded.totals, **dict.fromkeys([*players, *in_voids])}
        return [
            _total_row(key, folded.totals.get(key) or Counts(), players.get(key, 0), in_voids.get(key, 0))
            for key in sorted(keys)
        ]

    async def _players(self, connection: Any, folded: Folded) -> dict[TotalKey, int]:
        rows = [
            {"c": c, "s": s, "f": f, "p": p, "d": change, "b": folded.player_batch[c, s, f, p]}
            for (c, s, f, p), change in folded.players.items()
            if change
        ]
        if not rows:
            return {}
        return _by_total(await connection.fetch(self._queries.add_players, orjson.dumps(rows).decode()))

    async def _in_voids(self, connection: Any, folded: Folded) -> dict[TotalKey, int]:
        if not folded.held:
            return {}
        await connection.execute(self._queries.share_voids)
        if not await connection.fetchval(self._queries.any_voids):
            return {}
        rows = [{"n": n, "c": c, "s": s, "b": b, "d": d} for n, c, s, b, d in folded.held]
        return _by_total(await connection.fetch(self._queries.redeemed_in_voids, orjson.dumps(rows).decode()))


def _by_total(rows: Iterable[Any]) -> dict[TotalKey, int]:
    return {(row["campaign_id"], row["store_id"], row["batch_id"]): int(row["change"]) for row in rows}


def _hour_rows(folded: Folded) -> list[dict[str, Any]]:
    return [
        {"c": c, "s": s, "h": hour, "o": offset, "a": n.accepted, "p": n.reopened, "v": n.reversed, "j": n.rejected}
        for (c, s, hour, offset), n in folded.hours.items()
    ]


def _total_row(key: TotalKey, n: Counts, players: int, in_voids: int) -> dict[str, Any]:
    campaign, store, batch = key
    return {
        "c": campaign,
        "s": store,
        "b": batch,
        "a": n.accepted,
        "p": n.reopened,
        "v": n.reversed,
        "j": n.rejected,
        "i": in_voids,
        "u": players,
        "f": n.first_at,
        "l": n.last_at,
        "r": n.reached_at,
    }


def _place(row: Any) -> Place:
    mark = None
    if row["mark_epoch"] is not None:
        mark = Source(epoch=row["mark_epoch"], partition=row["mark_partition"], offset=row["mark_offset"])
    return Place(next_offset=row["next_offset"], mark=mark)
