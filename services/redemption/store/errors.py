"""Postgres' errors in the words of the loop."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from shared.kafka.errors import Retryable
from shared.postgres.errors import is_retryable


class Collision(Exception):  # noqa: N818 (an everyday event between two loops)
    """Another transaction has changed what this batch was decided on. Nothing was written: decide it again."""


class PlaceLost(Exception):  # noqa: N818
    """The partition's row was moved by someone else. Nothing was written: read the row and go on from what it says."""


class NotDurable(Exception):  # noqa: N818
    """Postgres may lose what it has confirmed. The text says which setting to change."""


@contextmanager
def postgres_errors() -> Iterator[None]:
    """Collisions as such, everything that may be better in a moment as Retryable; what is left is a fault of ours."""
    try:
        yield
    except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
        raise Collision(str(error)) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        if is_retryable(error):
            raise Retryable(f"Postgres: {type(error).__name__}: {error}") from error
        raise
