"""How long to wait before the next attempt."""

import random
from collections.abc import Iterator
from typing import Final

FIRST_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 10.0


def growing_pauses(first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> Iterator[float]:
    """Pauses in seconds that double up to the longest, each spread by half so that copies do not come back together."""
    pause = first
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, guards nothing)
        pause = min(pause * 2, longest)
