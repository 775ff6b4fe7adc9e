"""What ranking reads: outcomes as a group into the tables and as a whole into memory, and the reference topics."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from services.ranking.domain.places import Place
from services.ranking.handlers.boards import Boards
from services.ranking.handlers.counting import Chunk, DaysOf, count_records
from services.ranking.handlers.folding import Folder
from shared.contracts.sources import SourceGap
from shared.contracts.topics import BATCHES, CAMPAIGNS, OUTCOMES, STORES, TOKENS
from shared.kafka.errors import OutOfRange, PartitionStopped, Retryable
from shared.kafka.following import Apply, TopicFollower
from shared.kafka.groups import PartitionReader
from shared.kafka.records import Record
from shared.web.tokens import TokenDirectory

GROUP: Final = "counterfoil.ranking"
"""Its committed offsets tell lag alone; a fold starts from its own table."""

MAX_RECORDS: Final = 10_000
FETCH_WAIT_SECONDS: Final = 0.5
LEARN_SECONDS: Final = 5.0
REBUILD_COMMAND: Final = "counterfoil jobs run ranking-rebuild"

Learn = Callable[[], Awaitable[None]]
"""Returns when everything that was on the campaigns' topic at the call is known."""


def reference_topics(boards: Boards, tokens: TokenDirectory) -> Mapping[str, Apply]:
    """The compacted topics that every copy follows from their beginning."""
    return {
        CAMPAIGNS.name: boards.apply_campaigns,
        STORES.name: boards.apply_stores,
        BATCHES.name: boards.apply_batches,
        TOKENS.name: tokens.apply,
    }


def learn_campaigns(follower: TopicFollower) -> Learn:
    async def learn() -> None:
        async with asyncio.timeout(LEARN_SECONDS):
            await follower.read_to_end(CAMPAIGNS.name, as_of=time.monotonic())

    return learn


class OutcomeFold:
    """Folds the partitions of the outcomes topic that belong to this process into the tables."""

    def __init__(self, folder: Folder, *, days_of: DaysOf, learn: Learn) -> None:
        self._folder = folder
        self._days_of = days_of
        self._learn = learn

    async def run_partition(self, reader: PartitionReader) -> None:
        """Folds one partition from the place in its row on, until it is taken away.

        Raises PartitionStopped where an outcome is missing, or the log does not hold the place.
        """
        place = await self._begin(reader)
        while True:
            records = await self._fetch(reader)
            if not records:
                continue
            chunk = await self._count(place, records)
            place = await self._folder.fold(reader.partition, chunk)
            if place != chunk.end:
                place = await self._begin(reader)
            elif place.next_offset is not None:
                await reader.commit(place.next_offset)

    async def _begin(self, reader: PartitionReader) -> Place:
        place = await self._folder.read_place(reader.partition)
        first, end = await reader.bounds()
        offset = first if place.next_offset is None else place.next_offset
        if not first <= offset <= end:
            raise _outside(reader, f"its place {offset} is outside of the log's {first} to {end}")
        reader.seek(offset)
        return place

    async def _fetch(self, reader: PartitionReader) -> Sequence[Record]:
        try:
            return await reader.fetch(MAX_RECORDS, FETCH_WAIT_SECONDS)
        except OutOfRange as error:
            raise _outside(reader, str(error)) from error

    async def _count(self, place: Place, records: Sequence[Record]) -> Chunk:
        """The chunk of the records; waits for a campaign that is not known yet (rule 18)."""
        try:
            chunk = count_records(place, records, self._days_of)
            if not chunk.waiting:
                return chunk
            try:
                await self._learn()
            except TimeoutError:
                raise Retryable("the campaigns' topic cannot be read to its end") from None
            chunk = count_records(place, records, self._days_of)
        except SourceGap as gap:
            raise PartitionStopped(f"{gap}.", REBUILD_COMMAND) from gap
        if chunk.waiting:
            raise Retryable(f"the campaign {chunk.waiting[0].campaign_id} of an outcome is not known yet")
        return chunk


def _outside(reader: PartitionReader, what: str) -> PartitionStopped:
    return PartitionStopped(f"{OUTCOMES.name} partition {reader.partition}: {what}.", REBUILD_COMMAND)
