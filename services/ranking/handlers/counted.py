"""What the boards counted lately, handed on to the fold of this copy's partitions: nothing is read and counted twice."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.ranking.domain.places import Place
from services.ranking.handlers.counting import Chunk

MOST_CHANGES: Final = 200_000
"""Kept for all partitions together; while Postgres is away the oldest are let go, and read from the log again later."""


class CountedChunks:
    """The newest chunks of some partitions, each beginning where the one before it ended."""

    def __init__(self) -> None:
        self._chunks: dict[int, deque[Chunk]] = {}
        self._arrived: dict[int, asyncio.Event] = {}
        self._changes = 0

    @contextmanager
    def kept(self, partition: int) -> Iterator[None]:
        """Keeps the chunks of a partition while the block runs."""
        self._chunks[partition] = deque()
        self._arrived[partition] = asyncio.Event()
        try:
            yield
        finally:
            self._changes -= sum(len(chunk.changes) for chunk in self._chunks.pop(partition))
            del self._arrived[partition]

    def offer(self, partition: int, chunk: Chunk) -> None:
        """Keeps the chunk if its partition is kept. Its changes must not be changed afterwards."""
        chunks = self._chunks.get(partition)
        if chunks is None:
            return
        chunks.append(chunk)
        self._changes += len(chunk.changes)
        self._arrived[partition].set()
        while self._changes > MOST_CHANGES:
            self._drop_oldest(max(self._chunks.values(), key=len))

    def first_offset(self, partition: int) -> int | None:
        """Where the kept chunks of the partition begin, None when there are none."""
        chunks = self._chunks[partition]
        return chunks[0].start.next_offset if chunks else None

    def take(self, partition: int, place: Place) -> list[Chunk]:
        """All that is kept from this place on; nothing when no chunk begins here. What lies before is dropped."""
        chunks = self._chunks[partition]
        while chunks and chunks[0].start != place and _reaches(chunks[0], place):
            self._drop_oldest(chunks)
        if not chunks or chunks[0].start != place:
            return []
        return [self._drop_oldest(chunks) for _ in range(len(chunks))]

    async def wait(self, partition: int, seconds: float) -> None:
        """Returns when a chunk arrives, or after so many seconds."""
        arrived = self._arrived[partition]
        arrived.clear()
        if not self._chunks[partition]:
            try:
                async with asyncio.timeout(seconds):
                    await arrived.wait()
            except TimeoutError:
                return

    def _drop_oldest(self, chunks: deque[Chunk]) -> Chunk:
        chunk = chunks.popleft()
        self._changes -= len(chunk.changes)
        return chunk


def _reaches(chunk: Chunk, place: Place) -> bool:
    """Whether the chunk begins before the place, or at its offset with another mark."""
    return (chunk.start.next_offset or 0) <= (place.next_offset or 0)
