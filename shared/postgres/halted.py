"""Ending what processes hold that do not go on: halted by a debugger, a paused machine, a container that was frozen (rule 5).

No timeout of Postgres sees a process that is halted within `COPY ... FROM STDIN`: while a backend waits for the rest of the
rows, it takes no order but the one to end. So whoever waits for such a process gives that order. Before version 17 the same
goes for one that is halted between two messages of a statement (`connections.hold`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import structlog

from shared.postgres.connections import HELD_SECONDS
from shared.postgres.errors import is_retryable

LOOK_AGAIN_SECONDS: Final = 1.0

_WAITING: Final = """
    SELECT pid, backend_xid::text, state_change, coalesce(p.bytes_processed, 0) AS bytes
    FROM pg_stat_activity LEFT JOIN pg_stat_progress_copy p USING (pid)
    WHERE pg_stat_activity.datname = current_database() AND usename = current_user
        AND application_name = current_setting('application_name') AND backend_xid IS NOT NULL AND wait_event = 'ClientRead'
        AND state_change < now() - make_interval(secs => $1)"""
_END: Final = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM unnest($1::integer[]) AS pid"

log = structlog.get_logger(__name__)


async def end_halted(connection: asyncpg.Connection | asyncpg.Pool, seconds: float = HELD_SECONDS) -> int:
    """Ends transactions of this schema's own role that did not go on for so long and do not go on now; returns how many.

    Only one that has written is ended, never a reader; and never one whose rows are just slow to come.
    """
    before = {tuple(row) for row in await connection.fetch(_WAITING, seconds)}
    if not before:
        return 0
    await asyncio.sleep(LOOK_AGAIN_SECONDS)
    halted = [row["pid"] for row in await connection.fetch(_WAITING, seconds) if tuple(row) in before]
    ended = int(await connection.fetchval(_END, halted))
    if ended:
        log.warning("ended what a halted process held", transactions=ended)
    return ended


@asynccontextmanager
async def ending_halted(connection: asyncpg.Connection | asyncpg.Pool) -> AsyncIterator[None]:
    """Where the block waits for a lock in vain, ends what halted processes hold; the error goes on, another try succeeds."""
    try:
        yield
    except asyncpg.LockNotAvailableError:
        try:
            await end_halted(connection)
        except Exception as error:
            if not is_retryable(error):
                raise
        raise
