"""A process that is halted in the middle of sending rows, as Postgres sees it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.postgres.connections import connect, hold


@asynccontextmanager
async def halted_in_copy(url: str, *, schema: str, statements: str, table: str, held_seconds: int = 20) -> AsyncIterator[None]:
    """A transaction that did the statements and then sends rows to the table, the first of which never comes."""
    begun = asyncio.Event()

    async def rows() -> AsyncIterator[bytes]:
        yield b""
        begun.set()
        await asyncio.Event().wait()

    connection = await connect(url, schema=schema)
    await connection.execute(f"BEGIN; {hold(held_seconds)}; {statements}")
    copying = asyncio.create_task(connection.copy_to_table(table, source=rows()))
    try:
        await begun.wait()
        yield
    finally:
        copying.cancel()
        await asyncio.wait({copying})
        connection.terminate()
