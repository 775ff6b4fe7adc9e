"""What the store's modules share: the kinds of connection, and rows that must be there."""

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection = asyncpg.Connection | PoolConnectionProxy


def present(row: asyncpg.Record | None) -> asyncpg.Record:
    """A row that the statement cannot but return; raises LookupError when the caller's lock on it was an illusion."""
    if row is None:
        message = "the statement returned no row"
        raise LookupError(message)
    return row
