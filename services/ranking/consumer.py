"""What ranking reads: outcomes as a group into the tables and as a whole into memory, and the reference topics."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from services.ranking.domain.places import Place
from services.ranking.handlers.boards import Boards
from services.ranking.handlers.counting import Chunk, OutcomeCounter
from services.ranking.handlers.folding import Folder
from services.ranking.store.scores import ScoreStore
from shared.contracts.sources import SourceGap
from shared.contracts.topics import BATCHES, CAMPAIGNS, OUTCOMES, STORES, TOKENS
from shared.environment import KafkaConnection
from shared.kafka.errors import OutOfRange, PartitionStopped, Retryable
from shared.kafka.following import Apply, TopicFollower
from shared.kafka.groups import HEARTBEAT_MILLISECONDS, PartitionGroup
from shared.kafka.reading import PartitionReader
from shared.lifecycle import background
from shared.postgres.errors import is_retryable
from shared.web.tokens import TokenDirectory

GROUP: Final = "counterfoil.ranking"
"""Its committed offsets tell lag alone; a fold starts from its own table."""

MAX_RECORDS: Final = 10_000
FETCH_WAIT_SECONDS: Final = 0.5
WAIT_SECONDS: Final = 0.25
LEARN_SECONDS: Final = 5.0
REBUILD_LOOK_SECONDS: Final = 3.0
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


def outcome_group(connection: KafkaConnection, fold: "OutcomeFold", *, session_timeout_milliseconds: int) -> PartitionGroup:
    """The folds of the partitions that this copy is given."""
    return PartitionGroup(
        connection,
        topic=OUTCOMES.name,
        group=GROUP,
        run_partition=fold.run_partition,
        session_timeout_ms=session_timeout_milliseconds,
        heartbeat_interval_ms=min(HEARTBEAT_MILLISECONDS, session_timeout_milliseconds // 5),
    )


class OutcomesIntoMemory:
    """Keeps the boards at the end of the outcomes topic: from a snapshot of the tables, then by following (rule 17).

    After a rebuild was swapped in, by whichever process, it begins again with a new snapshot; reads go on meanwhile.
    """

    def __init__(self, connection: KafkaConnection, store: ScoreStore, boards: Boards) -> None:
        self._connection = connection
        self._store = store
        self._boards = boards
        self._loaded = asyncio.Event()

    async def run(self) -> None:
        """Follows until it is cancelled."""
        while True:
            number = await self._store.read_rebuild_number()
            async with self._store.snapshot() as (places, rows):
                await self._boards.load(places, rows)
            follower = TopicFollower(
                self._connection, {OUTCOMES.name: self._boards.apply_outcomes}, start_at=self._boards.start_at
            )
            async with background({"outcomes": follower.run}):
                await follower.wait_loaded()
                self._boards.seconds_since_end = follower.seconds_since_end
                self._loaded.set()
                await self._wait_for_rebuild(number)

    async def wait_loaded(self) -> None:
        """Returns when the boards have been at the end of the topic for the first time."""
        await self._loaded.wait()

    async def _wait_for_rebuild(self, number: int) -> None:
        while True:
            await asyncio.sleep(REBUILD_LOOK_SECONDS)
            try:
                if await self._store.read_rebuild_number() != number:
                    return
            except Exception as error:
                if not is_retryable(error):
                    raise


class OutcomeFold:
    """Folds the partitions of the outcomes topic that belong to this process into the tables.

    What the boards of this copy have counted already is taken from them; only what lies before that is read from the log.
    """

    def __init__(self, folder: Folder, boards: Boards, *, learn: Learn) -> None:
        self._folder = folder
        self._boards = boards
        self._counted = boards.counted
        self._learn = learn
        self._reading_at: dict[int, int] = {}

    async def run_partition(self, reader: PartitionReader) -> None:
        """Folds one partition from the place in its row on, until it is taken away.

        Raises PartitionStopped where an outcome is missing, or the log does not hold the place.
        """
        with self._counted.kept(reader.partition):
            place = await self._begin(reader)
            while not reader.revoked:
                chunks = self._counted.take(reader.partition, place) or await self._read(reader, place)
                if not chunks:
                    await self._counted.wait(reader.partition, WAIT_SECONDS)
                    continue
                await self._complete(chunks)
                place = await self._folder.fold(reader.partition, chunks)
                if place != chunks[-1].end:
                    place = await self._begin(reader)
                elif place.next_offset is not None:
                    reader.commit(place.next_offset)

    async def _begin(self, reader: PartitionReader) -> Place:
        place = await self._folder.read_place(reader.partition)
        first, end = await reader.bounds()
        offset = first if place.next_offset is None else place.next_offset
        if not first <= offset <= end:
            raise _outside(reader, f"its place {offset} is outside of the log's {first} to {end}")
        self._seek(reader, offset)
        return place

    async def _read(self, reader: PartitionReader, place: Place) -> list[Chunk]:
        """Counts from the log what lies before the chunks that are kept; nothing when nothing does."""
        until = self._counted.first_offset(reader.partition)
        if until is None:
            until = self._boards.place(reader.partition).next_offset
        if (place.next_offset or 0) >= (until or 0):
            return []
        if place.next_offset is not None and place.next_offset != self._reading_at[reader.partition]:
            self._seek(reader, place.next_offset)
        try:
            records = await reader.fetch(MAX_RECORDS, FETCH_WAIT_SECONDS)
        except OutOfRange as error:
            raise _outside(reader, str(error)) from error
        if records:
            self._reading_at[reader.partition] = records[-1].offset + 1
        before = [record for record in records if record.offset < (until or 0)]
        try:
            return [self._boards.count(place, before)] if before else []
        except SourceGap as gap:
            raise PartitionStopped(f"{gap}.", REBUILD_COMMAND) from gap

    def _seek(self, reader: PartitionReader, offset: int) -> None:
        reader.seek(offset)
        self._reading_at[reader.partition] = offset

    async def _complete(self, chunks: Sequence[Chunk]) -> None:
        """Counts what waited for campaigns; waits for one that is not known yet (rule 18)."""
        if not any(chunk.waiting for chunk in chunks):
            return
        try:
            await self._learn()
        except TimeoutError:
            raise Retryable("the campaigns' topic cannot be read to its end") from None
        for chunk in chunks:
            counter = OutcomeCounter(chunk.changes, self._boards.local_days)
            for outcome in chunk.waiting:
                if not counter.count(outcome):
                    raise Retryable(f"the campaign {outcome.campaign_id} of an outcome is not known yet")


def _outside(reader: PartitionReader, what: str) -> PartitionStopped:
    return PartitionStopped(f"{OUTCOMES.name} partition {reader.partition}: {what}.", REBUILD_COMMAND)
