"""Tables beside the live ones, and the swap."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from services.reporting.store.folding import FoldStore
from shared.postgres.queries import Queries

queries: Final = Queries.beside(__file__)
PREFIX: Final = "rebuild_"


class RebuildRunning(Exception):  # noqa: N818 (says why not)
    """Another rebuild runs."""


class RebuildStore:
    """Begins and finishes a rebuild; there is one at a time."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def begun(self) -> AsyncIterator[FoldStore]:
        """Where to fold into, while the block lasts. Raises RebuildRunning."""
        async with self._pool.acquire() as connection:
            if not await connection.fetchval(queries.rebuild_lock):
                raise RebuildRunning("another rebuild runs")
            await connection.execute(queries.begin_rebuild)
            yield FoldStore(self._pool, prefix=PREFIX)

    async def finish(self) -> None:
        """Swaps. Waits for downloads and folds at most `lock_timeout`; raises asyncpg's LockNotAvailableError then."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(queries.finish_rebuild, timeout=600)
