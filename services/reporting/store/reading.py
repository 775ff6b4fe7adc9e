"""Reading figures. A download holds a connection of a pool of its own, so that slow readers cannot keep the others waiting."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import asyncpg

from shared.postgres.queries import Queries

queries: Final = Queries.beside(__file__)

QUEUED_CHUNKS: Final = 4
"""Chunks of 64 KB that Postgres may be ahead of a client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What figures are asked of: a campaign, a period (None: ever) and stores (None: all)."""

    campaign_id: str
    since: datetime | None
    until: datetime | None
    stores: Sequence[str] | None
    now: datetime
    today_began_at: datetime
    today: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A finished download: rows of data (the heading's left out), bytes and their SHA-256, before any compression."""

    id: str
    file: str
    rows: int
    bytes: int
    sha256: str
    finished_at: datetime | None = None


Row = dict[str, Any]


class FigureStore:
    """Figures as rows, and as CSV straight from Postgres."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def campaign(self, campaign_id: str) -> Row | None:
        row = await self._pool.fetchrow(queries.campaign, campaign_id)
        return dict(row) if row is not None else None

    async def campaigns(self) -> list[Row]:
        return await self._rows(queries.campaigns)

    async def regions_and_chains(self) -> dict[str, list[str]]:
        """All regions and chains that stores have, in order."""
        row = (await self._rows(queries.regions_and_chains))[0]
        return {"regions": row["regions"] or [], "chains": row["chains"] or []}

    async def matching_stores(
        self, ids: Sequence[str] | None, regions: Sequence[str] | None, chains: Sequence[str] | None
    ) -> list[str]:
        """The ids of the known stores that every given filter lets through."""
        return [row["id"] for row in await self._pool.fetch(queries.matching_stores, ids, regions, chains)]

    async def known_stores(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are known, or were allotted codes."""
        return {row["id"] for row in await self._pool.fetch(queries.known_stores, ids)}

    async def places(self, topic: str) -> list[Row]:
        return await self._rows(queries.places, topic)

    async def performance(self, s: Selection) -> list[Row]:
        return await self._rows(queries.performance, *_states(s), s.stores)

    async def summary(self, s: Selection) -> dict[str, Any]:
        """The sums of a selection, with all rejected requests and the number of different players."""
        (row,) = await self._rows(queries.summary, *_states(s), s.stores)
        if s.since is None:
            rejected = await self._pool.fetchval(queries.count_rejections, s.campaign_id, s.stores)
            players = await self._players(s)
        else:
            rejected = await self._pool.fetchval(queries.count_rejections_between, *_span(s))
            players = await self._pool.fetchval(queries.count_players_between, *_span(s))
        return {**row, "rejected": rejected, "unique_players": players}

    async def _players(self, s: Selection) -> int:
        if s.stores is None:
            return int(await self._pool.fetchval(queries.count_players, s.campaign_id))
        return int(await self._pool.fetchval(queries.count_players_at, s.campaign_id, s.stores))

    async def days(self, s: Selection) -> list[Row]:
        """The sums of each day: of ever from the daily facts, of a period from the hours whose start lies in it."""
        if s.since is None:
            return await self._rows(queries.days, s.campaign_id, s.stores)
        return await self._rows(queries.days_between, *_span(s))

    async def weekday_hours(self, s: Selection) -> list[Row]:
        return await self._rows(queries.weekday_hours, *_span(s))

    async def rejections_by_day(self, s: Selection) -> list[Row]:
        return await self._rows(queries.rejections_by_day, *_span(s))

    async def store_days(self, s: Selection, stores: Sequence[str] | None) -> list[Row]:
        """The same of each store."""
        if s.since is None:
            return await self._rows(queries.store_days, s.campaign_id, stores)
        return await self._rows(queries.store_days_between, s.campaign_id, s.since, s.until, stores)

    async def supply_changes(self, s: Selection) -> list[Row]:
        """Codes that came and went, by moment; what was published without a time is left out."""
        return await self._rows(queries.supply_changes, s.campaign_id, s.stores)

    async def days_to_redeem(self, s: Selection) -> list[Row]:
        """Redemptions by whole days since their batch was published. Of some stores only: the whole ledger is read."""
        if s.stores is None:
            return await self._rows(queries.days_to_redeem, s.campaign_id, s.since, s.until)
        return await self._rows(queries.days_to_redeem_at, *_span(s))

    async def describe_download(self, download: Download, *, token_id: str) -> None:
        await self._pool.execute(
            queries.describe_download, download.id, token_id, download.file, download.rows, download.bytes, download.sha256
        )

    async def download(self, download_id: str, *, token_id: str) -> Download | None:
        """What a finished download of this token was; None while it runs, and for others."""
        row = await self._pool.fetchrow(queries.download, download_id, token_id)
        return Download(**dict(row)) if row is not None else None

    async def _rows(self, query: str, *arguments: object) -> list[Row]:
        return [dict(row) for row in await self._pool.fetch(query, *arguments)]


class DownloadStore:
    """CSV as Postgres writes it (LF line ends, without header), in chunks."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def performance(self, s: Selection) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self._copy(queries.performance_csv, *_states(s), s.stores) as chunks:
            yield chunks

    @asynccontextmanager
    async def performance_values(self, s: Selection) -> AsyncIterator[AsyncIterator[bytes]]:
        """The same rows as bare values: shares as fractions, texts not made harmless."""
        async with self._copy(queries.performance_values_csv, *_states(s), s.stores) as chunks:
            yield chunks

    @asynccontextmanager
    async def ledger(self, s: Selection, *, hash_players: bool, skip_rows: int) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self._copy(queries.ledger_csv, *_span(s), hash_players, skip_rows) as chunks:
            yield chunks

    @asynccontextmanager
    async def rejections(self, s: Selection) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self._copy(queries.rejections_csv, *_span(s)) as chunks:
            yield chunks

    @asynccontextmanager
    async def timeseries(self, s: Selection, *, by_day: bool) -> AsyncIterator[AsyncIterator[bytes]]:
        query = queries.timeseries_by_day_csv if by_day else queries.timeseries_by_hour_csv
        async with self._copy(query, *_span(s)) as chunks:
            yield chunks

    @asynccontextmanager
    async def standings(
        self, s: Selection, *, first_day: date | None, end_day: date | None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self._copy(queries.standings_csv, s.campaign_id, first_day, end_day, s.stores) as chunks:
            yield chunks

    @asynccontextmanager
    async def _copy(self, query: str, *arguments: object) -> AsyncIterator[AsyncIterator[bytes]]:
        """Runs the query as COPY TO STDOUT; leaving the block, at its end or not, ends the query in Postgres too."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED_CHUNKS)
        async with self._pool.acquire() as connection:
            copying = asyncio.create_task(_copy_into(connection, queue.put, query, arguments), name="copy to client")
            try:
                yield _chunks(queue, copying)
            finally:
                copying.cancel()
                await asyncio.gather(copying, return_exceptions=True)


async def _copy_into(
    connection: Any, put: Callable[[bytes | None], Awaitable[None]], query: str, arguments: Sequence[object]
) -> None:
    held = bytearray()

    async def take(data: bytes) -> None:
        held.extend(data)
        if len(held) >= 64 * 1024:
            await put(bytes(held))
            held.clear()

    await connection.copy_from_query(query, *arguments, output=take, format="csv")
    if held:
        await put(bytes(held))
    await put(None)


async def _chunks(queue: asyncio.Queue[bytes | None], copying: asyncio.Task[None]) -> AsyncIterator[bytes]:
    while True:
        getting = asyncio.ensure_future(queue.get())
        await asyncio.wait({getting, copying}, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done() and queue.empty():
            getting.cancel()
            copying.result()
            return
        chunk = await getting
        if chunk is None:
            return
        yield chunk


def _span(s: Selection) -> tuple[Any, ...]:
    return (s.campaign_id, s.since, s.until, s.stores)


def _states(s: Selection) -> tuple[Any, ...]:
    return (s.campaign_id, s.since, s.until, s.now, s.today_began_at)
