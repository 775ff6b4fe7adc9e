"""What runs by itself: the timer of jobs, in every copy (each due run is claimed by one of them); and the rebuild, by hand."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from services.reporting.handlers.folding import fold_outcomes
from services.reporting.handlers.jobs import JobRunner, tell_differences
from services.reporting.store.folding import FoldStore
from services.reporting.store.jobs import CareStore
from services.reporting.store.reading import FigureStore
from services.reporting.store.rebuild import RebuildStore
from shared.contracts.topics import OUTCOMES
from shared.environment import KafkaConnection
from shared.kafka.errors import Retryable
from shared.kafka.inspecting import LogInspector
from shared.kafka.records import Record
from shared.postgres.errors import is_retryable

LOOK_SECONDS: Final = 20.0
TELL_SECONDS: Final = 3.0
MERGE_SECONDS: Final = 1.0
MERGED_TOGETHER: Final = 50_000
REBUILD_RECORDS: Final = 10_000
SWAP_ATTEMPTS: Final = 30

log = structlog.get_logger(__name__)


async def keep_running_due_jobs(runner: JobRunner) -> None:
    """Looks for what is due until it is cancelled; a run that was missed while nothing ran is made up at the first look."""
    while True:
        try:
            await runner.run_due(datetime.now(UTC))
        except Exception as error:
            if not is_retryable(error):
                raise
            log.warning("jobs wait for Postgres", error=str(error))
        await asyncio.sleep(LOOK_SECONDS)


async def keep_telling_differences(care: CareStore) -> None:
    """Shows the last comparison of the figures as metrics until it is cancelled: a run of its own has none to be read."""
    while True:
        try:
            await tell_differences(care)
        except Exception as error:
            if not is_retryable(error):
                raise
            log.warning("the last comparison cannot be read", error=str(error))
        await asyncio.sleep(TELL_SECONDS)


async def keep_merging_players(care: CareStore) -> None:
    """Merges what folds noted on players until it is cancelled. Figures need it for their speed only."""
    while True:
        merged = 0
        try:
            merged = await care.merge_players(MERGED_TOGETHER)
        except Exception as error:
            if not is_retryable(error):
                raise
            log.warning("players cannot be merged", error=str(error))
        if merged < MERGED_TOGETHER:
            await asyncio.sleep(MERGE_SECONDS)


class StoredZones:
    """The zones of the campaigns that are in the tables, for folding without following the topics."""

    def __init__(self, figures: FigureStore) -> None:
        self._figures = figures
        self._zones: dict[str, ZoneInfo] = {}

    def zone_of(self, campaign_id: str) -> ZoneInfo:
        return self._zones[campaign_id]

    async def wait_for_campaigns(self, ids: Iterable[str]) -> None:
        wanted = set(ids)
        if not wanted <= self._zones.keys():
            self._zones = {row["id"]: ZoneInfo(row["time_zone"]) for row in await self._figures.campaigns()}
        if not wanted <= self._zones.keys():
            raise Retryable(f"campaigns are not known: {sorted(wanted - self._zones.keys())[:5]}")


async def rebuild(kafka: KafkaConnection, store: RebuildStore, figures: FigureStore) -> str:
    """Counts everything again from the outcomes topic beside the live tables, then swaps; until then the old figures stay.

    Raises PartitionStopped where the topic itself has a gap, Retryable when Kafka is away.
    """
    zones, folded = StoredZones(figures), 0
    async with store.begun() as shadow, LogInspector(kafka) as inspector:
        for partition in range(await inspector.partitions(OUTCOMES.name)):
            folded += await _fold_to_end(inspector, shadow, zones, partition)
        for partition in range(await inspector.partitions(OUTCOMES.name)):
            folded += await _fold_to_end(inspector, shadow, zones, partition)
        await _swap(store)
    return f"Counted {folded:,} outcomes again and swapped the tables"


async def _fold_to_end(inspector: LogInspector, shadow: FoldStore, zones: StoredZones, partition: int) -> int:
    place, folded = await shadow.place(OUTCOMES.name, partition), 0
    held: list[Record] = []
    async for record in inspector.read(OUTCOMES.name, partition, place.next_offset):
        held.append(record)
        if len(held) >= REBUILD_RECORDS:
            progress = await fold_outcomes(shadow, zones, partition, place=place, records=held)
            place, folded, held = progress.place, folded + progress.outcomes, []
    if held:
        folded += (await fold_outcomes(shadow, zones, partition, place=place, records=held)).outcomes
    return folded


async def _swap(store: RebuildStore) -> None:
    """A download that is under way holds the swap up; it is tried again until there is a gap between them."""
    for attempt in range(SWAP_ATTEMPTS):
        try:
            return await store.finish()
        except Exception as error:
            if not is_retryable(error) or attempt == SWAP_ATTEMPTS - 1:
                raise
            log.info("swap waits for readers", error=str(error))
            await asyncio.sleep(1)
    return None
