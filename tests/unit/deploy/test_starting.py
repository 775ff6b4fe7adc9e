"""A server whose port somebody else took between the look and the start."""

import pytest

from deploy.local.failures import SetupFailed
from deploy.local.servers import ATTEMPTS, start_unless_taken


def test_a_server_is_started_once_more_where_its_port_was_taken() -> None:
    starts: list[int] = []

    def start() -> int:
        starts.append(1)
        if len(starts) < ATTEMPTS:
            raise SetupFailed("postgres died")
        return 42

    assert start_unless_taken(start, lambda: True) == 42
    assert len(starts) == ATTEMPTS


def test_a_server_that_died_of_something_else_is_not_tried_again() -> None:
    starts: list[int] = []

    def start() -> int:
        starts.append(1)
        raise SetupFailed("postgres died")

    with pytest.raises(SetupFailed):
        start_unless_taken(start, lambda: False)
    assert len(starts) == 1
