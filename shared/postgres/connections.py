"""Opening pools and connections that cannot hold others up when their process is paused (rule 5)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import orjson
import structlog

from shared.postgres.errors import is_retryable

SERVER_SETTINGS: Final = {
    "idle_in_transaction_session_timeout": "5000",
    "lock_timeout": "4000",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "timezone": "UTC",
    "jit": "off",
}
COMMAND_TIMEOUT_SECONDS: Final = 30.0
HELD_SECONDS: Final = 20

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_pool(
    url: str,
    *,
    schema: str,
    min_size: int = 1,
    max_size: int = 10,
    command_timeout: float | None = COMMAND_TIMEOUT_SECONDS,
    wait_seconds: float = 60.0,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[asyncpg.Pool]:
    """A pool on one schema; waits for a server that is not there yet. Values of jsonb are Python's, through orjson.

    `settings` are Postgres' own, of each connection, beside those that all connections have.

    Raises what asyncpg raises when the server refuses us for good, or is still away after `wait_seconds`.
    """
    making = {
        "min_size": min_size,
        "max_size": max_size,
        "command_timeout": command_timeout,
        "server_settings": {**_server_settings(schema), **(settings or {})},
    }
    pool = await _patiently(url, wait_seconds, making)
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(3):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def connect(url: str, *, schema: str, **settings: Any) -> asyncpg.Connection:
    """One connection with the same settings as the pools'."""
    connection: asyncpg.Connection = await asyncpg.connect(
        url, server_settings=_server_settings(schema), timeout=10, **settings
    )
    await _prepare(connection)
    return connection


def hold(seconds: int = HELD_SECONDS) -> str:
    """A statement that ends its transaction after so long, whatever its process does (Postgres 17 and newer); 0: no more.

    For transactions that others wait for. `idle_in_transaction_session_timeout` does not see a process that is halted between
    two messages of a statement (asyncpg has it parsed, and sends the arguments after the answer): to Postgres it is active.
    """
    return f"""SELECT CASE WHEN current_setting('server_version_num')::integer >= 170000
        THEN set_config('transaction_timeout', '{seconds}s', true) END"""


async def _patiently(url: str, wait_seconds: float, making: Mapping[str, Any]) -> asyncpg.Pool:
    deadline = asyncio.get_running_loop().time() + wait_seconds
    while True:
        try:
            return await asyncpg.create_pool(url, timeout=10, init=_prepare, **making)
        except Exception as error:
            if not is_retryable(error) or asyncio.get_running_loop().time() > deadline:
                raise
            log.warning("waiting for Postgres", error=str(error))
            await asyncio.sleep(0.5)


def _server_settings(schema: str) -> dict[str, str]:
    return {**SERVER_SETTINGS, "search_path": schema, "application_name": f"counterfoil {schema}"}


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda v: b"\x01" + orjson.dumps(v),
        decoder=lambda b: orjson.loads(b[1:]),
        schema="pg_catalog",
        format="binary",
    )
