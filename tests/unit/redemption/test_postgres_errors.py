"""What the loop makes of the driver's errors."""

import asyncpg
import pytest

from services.redemption.store.errors import postgres_errors
from shared.kafka.errors import Retryable


def test_a_driver_left_in_the_middle_by_a_server_that_died_is_tried_again() -> None:
    with pytest.raises(Retryable, match="InternalClientError"), postgres_errors():
        raise asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")


def test_any_other_fault_of_the_driver_is_a_fault_of_ours() -> None:
    with pytest.raises(asyncpg.InternalClientError), postgres_errors():
        raise asyncpg.InternalClientError("unexpected message")
