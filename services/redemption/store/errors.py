"""Postgres' errors in the words of the loop."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from shared.kafka.errors import Retryable
from shared.postgres.errors import is_retryable

TAKEN: Final = {
    "one_redemption_a_generation": "a code was taken by another transaction",
    "one_redemption_an_event": "an event was taken by another transaction",
    "one_reversal_a_redemption": "a redemption was taken back by another transaction",
    "player_counters_pkey": "a player's counter was begun by another transaction",
}
"""What it means that a row is there already: what was read a moment ago has changed."""


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
    except asyncpg.UniqueViolationError as error:
        raise Collision(TAKEN.get(error.constraint_name or "", "a row was written by another transaction")) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        if is_retryable(error):
            raise Retryable(f"Postgres: {type(error).__name__}: {error}") from error
        raise
