"""Connections to the ledger: one for each partition's loop, a pool for the rest."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from services.redemption.store.errors import NotDurable, postgres_errors
from services.redemption.store.transactions import QUERIES, PartitionLedger
from shared.postgres.connections import open_pool

SCHEMA: Final = "redemption"
COMMAND_TIMEOUT_SECONDS: Final = 15.0


class LedgerPool:
    """Hands out connections. Each is looked at when it is handed out: a ledger that may forget is none (rule 11)."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    @asynccontextmanager
    async def partition_ledger(self) -> AsyncIterator[PartitionLedger]:
        """A connection for one partition, for as long as its loop runs. Raises NotDurable, Retryable."""
        with postgres_errors():
            connection = await self.pool.acquire(timeout=10)
        try:
            with postgres_errors():
                await refuse_forgetting(connection)
                await connection.execute(QUERIES.prefer_indexes)
            yield PartitionLedger(connection)
        finally:
            with postgres_errors():
                await self.pool.release(connection, timeout=3)

    async def check_durability(self) -> None:
        """Raises NotDurable when Postgres is set to lose what it confirmed."""
        with postgres_errors():
            async with self.pool.acquire(timeout=10) as connection:
                await refuse_forgetting(connection)


async def refuse_forgetting(connection: Any) -> None:
    row = await connection.fetchrow(QUERIES.read_durability)
    for setting in ("synchronous_commit", "fsync"):
        if row[setting] == "off":
            raise NotDurable(f"Postgres has {setting}=off: a crash would forget redemptions that were answered. Set it to on.")


@asynccontextmanager
async def open_ledger(url: str, *, max_size: int, wait_seconds: float = 60.0) -> AsyncIterator[LedgerPool]:
    """The service's pool; waits for a Postgres that is not there yet."""
    async with open_pool(
        url, schema=SCHEMA, max_size=max_size, command_timeout=COMMAND_TIMEOUT_SECONDS, wait_seconds=wait_seconds
    ) as pool:
        yield LedgerPool(pool)
