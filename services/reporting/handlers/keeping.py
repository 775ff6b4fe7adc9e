"""Answers that are the same for whoever asks within some seconds: made once however many ask at once."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

KEPT_SECONDS: Final = 5.0
KEPT_BYTES: Final = 64 * 1024 * 1024
LONGEST_SECONDS: Final = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Made(Generic[T]):
    value: T
    until: float
    size: int


class Kept(Generic[T]):
    """Keeps an answer for some seconds, or as long again as it took to make, so that making it fills half of the time at most.

    What was made longest ago goes first when there is too much.
    """

    def __init__(
        self,
        size_of: Callable[[T], int],
        *,
        seconds: float = KEPT_SECONDS,
        most: int = KEPT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size_of = size_of
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._made: OrderedDict[Hashable, _Made[T]] = OrderedDict()
        self._making: dict[Hashable, asyncio.Task[T]] = {}
        self._size = 0

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """The kept answer, or the one that `make` gives. One who stops waiting does not stop the others."""
        found = self._made.get(key)
        if found is not None and self._clock() < found.until:
            return found.value
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(self._make(key, make), name="answer to keep")
        return await asyncio.shield(making)

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        began = self._clock()
        try:
            value = await make()
        finally:
            self._making.pop(key, None)
        ended = self._clock()
        self._keep(key, _Made(value, ended + max(self._seconds, min(ended - began, LONGEST_SECONDS)), self._size_of(value)))
        return value

    def _keep(self, key: Hashable, made: _Made[T]) -> None:
        before = self._made.pop(key, None)
        self._made[key] = made
        self._size += made.size - (before.size if before else 0)
        while self._size > self._most:
            self._size -= self._made.popitem(last=False)[1].size
