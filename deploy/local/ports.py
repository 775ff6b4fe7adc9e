"""Ports: the usual one if it is free, else one that is."""

import socket
import time
from collections.abc import Collection
from typing import Final

LOCAL: Final = "127.0.0.1"
POLL_SECONDS: Final = 0.05
PATIENCE_SECONDS: Final = 1.0
"""For a port that we had before: its last holder may be just about to be gone."""

FREE_PORTS: Final = range(20_000, 30_000)
"""Below the range from which systems take outgoing ports, so that none is lost between the choice and its use."""


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now, on this machine's own address and on all."""
    for address in (LOCAL, "0.0.0.0"):  # noqa: S104 (nothing ever listens here)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def free_port(usual: int, *, but_not: Collection[int] = (), patience_seconds: float = 0.0) -> int:
    """The usual port if it is free (or becomes so within the patience), else the next free one of a fixed range."""
    deadline = time.monotonic() + patience_seconds
    while usual not in but_not:
        if is_free(usual):
            return usual
        if time.monotonic() >= deadline:
            break
        time.sleep(POLL_SECONDS)
    start = usual % len(FREE_PORTS)
    for step in range(len(FREE_PORTS)):
        port = FREE_PORTS[(start + step * 7) % len(FREE_PORTS)]
        if port not in but_not and is_free(port):
            return port
    message = "no free port"
    raise OSError(message)


def answers(port: int, host: str = LOCAL, seconds: float = 1.0) -> bool:
    """Whether something accepts a connection there."""
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False
