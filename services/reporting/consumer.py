"""What reporting reads from Kafka: outcomes and standings by a group, reference data and tokens as a whole."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from services.reporting.handlers.folding import REBUILD, Progress, fold_outcomes, fold_standings
from services.reporting.handlers.freshness import FreshnessBoard
from services.reporting.handlers.reference import ReferenceKeeper
from services.reporting.store.folding import FoldStore, Place, PlaceMoved
from services.reporting.store.reading import FigureStore
from shared.contracts.topics import BATCHES, CAMPAIGNS, OUTCOMES, STANDINGS, STORES, TOKENS, VOIDS
from shared.environment import KafkaConnection
from shared.kafka.errors import OutOfRange, PartitionStopped, Retryable
from shared.kafka.following import Apply, TopicFollower
from shared.kafka.groups import PartitionGroup
from shared.kafka.inspecting import LogInspector
from shared.kafka.reading import PartitionReader
from shared.kafka.records import Record
from shared.postgres.errors import is_retryable
from shared.telemetry import metrics

OUTCOMES_GROUP: Final = "counterfoil.reporting"
STANDINGS_GROUP: Final = "counterfoil.reporting.standings"
FETCH_WAIT_SECONDS: Final = 0.25
FETCH_BYTES: Final = 4 * 1024 * 1024
"""Four thousand outcomes with headers: no more are folded together than were fetched at once, and large folds add up more."""

MEASURE_SECONDS: Final = 0.5
STALE_SECONDS: Final = 60.0
UNMEASURED_SECONDS: Final = 15.0

FOLDED: Final = metrics.counter("reporting_folded_total", "Records folded, without repeats", ("topic",))
FOLD_SECONDS: Final = metrics.seconds("reporting_fold_seconds", "From records in hand to their commit", ("topic",))
BEHIND: Final = metrics.gauge("reporting_outcomes_behind", "Outcomes on the topic that are not folded yet")
AGE: Final = metrics.gauge("reporting_age_seconds", "How old the figures are")

log = structlog.get_logger(__name__)
FoldRecords = Callable[[int, Place, Sequence[Record]], Awaitable[Progress]]


def reference_follower(kafka: KafkaConnection, keeper: ReferenceKeeper, tokens: Apply) -> TopicFollower:
    """Follows the reference topics into the keeper, and the tokens into their directory."""
    return TopicFollower(
        kafka,
        {
            CAMPAIGNS.name: keeper.apply_campaigns,
            STORES.name: keeper.apply_stores,
            BATCHES.name: keeper.apply_batches,
            VOIDS.name: keeper.apply_voids,
            TOKENS.name: tokens,
        },
    )


def outcomes_group(kafka: KafkaConnection, store: FoldStore, keeper: ReferenceKeeper, *, max_records: int) -> PartitionGroup:
    """Folds the outcomes of the partitions that this process is given."""

    async def fold(partition: int, place: Place, records: Sequence[Record]) -> Progress:
        return await fold_outcomes(store, keeper, partition, place=place, records=records)

    return PartitionGroup(
        kafka,
        topic=OUTCOMES.name,
        group=OUTCOMES_GROUP,
        run_partition=lambda reader: _fold_partition(reader, store, fold, max_records),
        max_partition_fetch_bytes=FETCH_BYTES,
    )


def standings_group(kafka: KafkaConnection, store: FoldStore, keeper: ReferenceKeeper) -> PartitionGroup:
    """Takes the standings of the partitions that this process is given."""

    async def fold(partition: int, place: Place, records: Sequence[Record]) -> Progress:
        return await fold_standings(store, keeper, partition, place=place, records=records)

    return PartitionGroup(
        kafka,
        topic=STANDINGS.name,
        group=STANDINGS_GROUP,
        run_partition=lambda reader: _fold_partition(reader, store, fold, max_records=2_000),
    )


async def keep_measuring(kafka: KafkaConnection, store: FigureStore, board: FreshnessBoard) -> None:
    """Keeps the board up to date until it is cancelled; when Kafka or Postgres is away, the figures just grow older."""
    async with LogInspector(kafka) as inspector:
        while True:
            asked_at = datetime.now(UTC)
            try:
                await board.measure(store, await inspector.ends(OUTCOMES.name), asked_at)
            except Exception as error:
                if not isinstance(error, Retryable) and not is_retryable(error):
                    raise
                log.warning("freshness cannot be measured", error=str(error))
            BEHIND.set(board.latest.behind)
            AGE.set(board.latest.lag_seconds(datetime.now(UTC)))
            await asyncio.sleep(MEASURE_SECONDS)


def reference_problem(follower: TopicFollower, keeper: ReferenceKeeper) -> str | None:
    """Why reference data is not to be relied on, None when it is."""
    if follower.seconds_since_end() > STALE_SECONDS:
        return "campaigns, stores, batches and tokens have not been read to their ends lately"
    return "reference data is being written" if keeper.waiting else None


def folding_problem(outcomes: PartitionGroup, board: FreshnessBoard) -> str | None:
    """Why figures are not to be relied on, None when they are. Lag is no problem: every answer says how old it is."""
    if outcomes.stopped:
        return "; ".join(f"partition {partition}: {stop}" for partition, stop in sorted(outcomes.stopped.items()))
    if board.measured_at is None or (datetime.now(UTC) - board.measured_at).total_seconds() > UNMEASURED_SECONDS:
        return "Kafka or Postgres did not answer lately, so it is not known how old the figures are"
    return None


async def _fold_partition(reader: PartitionReader, store: FoldStore, fold: FoldRecords, max_records: int) -> None:
    """Reads and folds a partition from its stored place until it is taken away or moved by someone else."""
    try:
        await _fold_from_place(reader, store, fold, max_records)
    except PlaceMoved:
        log.info("place was moved by another process", topic=reader.topic, partition=reader.partition)
    except OutOfRange as error:
        raise PartitionStopped(f"The stored place is not on the topic: {error}.", REBUILD) from error
    except Exception as error:
        if not is_retryable(error):
            raise
        raise Retryable(f"Postgres: {type(error).__name__}: {error}") from error


async def _fold_from_place(reader: PartitionReader, store: FoldStore, fold: FoldRecords, max_records: int) -> None:
    place = await store.place(reader.topic, reader.partition)
    reader.seek(await _held(reader, place))
    while True:
        records = await reader.fetch(max_records, FETCH_WAIT_SECONDS)
        if not records:
            continue
        with FOLD_SECONDS.labels(reader.topic).time():
            progress = await fold(reader.partition, place, records)
        FOLDED.labels(reader.topic).inc(progress.outcomes)
        place = progress.place
        reader.commit(place.next_offset)


async def _held(reader: PartitionReader, place: Place) -> int:
    """The offset to read from. Standings are kept for some weeks only: what is gone was of no use to a new reader."""
    first, end = await reader.bounds()
    if place.next_offset > end or (place.next_offset < first and reader.topic == OUTCOMES.name):
        raise OutOfRange(reader.topic, reader.partition, place.next_offset)
    return max(place.next_offset, first)
