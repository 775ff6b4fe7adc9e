"""Reading and writing a real Kafka through shared.kafka."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka.consumer.subscription_state import SubscriptionState

from shared.contracts.topics import BATCHES, CAMPAIGNS, OUTCOMES, REQUESTS
from shared.environment import KafkaConnection
from shared.kafka import clients, following, groups, reading
from shared.kafka.errors import OutOfRange, PartitionStopped, Retryable
from shared.kafka.following import TopicFollower, from_the_end
from shared.kafka.groups import PartitionGroup
from shared.kafka.inspecting import LogInspector
from shared.kafka.pauses import FIRST_SECONDS, growing_pauses
from shared.kafka.publishing import Publisher
from shared.kafka.reading import PartitionReader
from shared.kafka.records import NewRecord, Record
from shared.kafka.topics import add_partitions, ensure_topics
from tests.support.polling import poll_until


@pytest.fixture
async def publisher(kafka: KafkaConnection) -> AsyncIterator[Publisher]:
    async with Publisher(kafka) as publisher:
        yield publisher


@asynccontextmanager
async def running(worker: TopicFollower | PartitionGroup) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def numbered(count: int, size: int = 10) -> list[NewRecord]:
    return [NewRecord(b"k", str(number).rjust(size).encode()) for number in range(count)]


def numbers(records: Sequence[Record]) -> list[int]:
    return [int(record.value or b"") for record in records]


async def test_making_topics_again_changes_nothing(kafka: KafkaConnection) -> None:
    assert await ensure_topics(kafka) == []


async def test_a_batch_above_the_brokers_limit_arrives_whole_and_in_order(kafka: KafkaConnection, publisher: Publisher) -> None:
    await publisher.publish_batch(OUTCOMES.name, 1, numbered(4_000, size=600))
    async with LogInspector(kafka) as log:
        assert numbers([r async for r in log.read(OUTCOMES.name, 1, 0)]) == list(range(4_000))


async def test_a_record_of_three_megabytes_fits_on_the_batches_topic(kafka: KafkaConnection, publisher: Publisher) -> None:
    partition, offset = await publisher.send(BATCHES.name, b"b-1", b"x" * 3_000_000)
    async with LogInspector(kafka) as log:
        record = await log.record_at(BATCHES.name, partition, offset)
    assert record is not None
    assert len(record.value or b"") == 3_000_000


async def test_a_follower_reads_from_the_beginning_and_knows_how_fresh_it_is(
    kafka: KafkaConnection, publisher: Publisher
) -> None:
    await publisher.send(CAMPAIGNS.name, b"a", b"1")
    seen: list[Record] = []
    follower = TopicFollower(kafka, {CAMPAIGNS.name: lambda _, records: seen.extend(records)})
    assert follower.seconds_since_end() == float("inf")
    async with running(follower):
        await asyncio.wait_for(follower.wait_loaded(), 20)
        assert numbers(seen) == [1]
        await publisher.send(CAMPAIGNS.name, b"b", b"2")
        await asyncio.wait_for(follower.read_to_end(CAMPAIGNS.name, as_of=time.monotonic()), 10)
        assert numbers(seen) == [1, 2]
        await asyncio.wait_for(follower.wait_fresh(1.0), 10)
        assert follower.lag() == 0


async def test_a_follower_from_the_end_sees_only_what_comes_later_and_new_partitions_whole(
    kafka: KafkaConnection, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "METADATA_MAX_AGE_MILLISECONDS", 1_000)
    await publisher.publish_batch(OUTCOMES.name, 0, numbered(3))
    seen: list[tuple[int, int]] = []
    follower = TopicFollower(
        kafka,
        {OUTCOMES.name: lambda partition, records: seen.extend((partition, n) for n in numbers(records))},
        start_at=from_the_end,
    )
    async with running(follower):
        await asyncio.wait_for(follower.wait_loaded(), 20)
        await publisher.send(OUTCOMES.name, b"k", b"7", partition=0)
        await add_partitions(kafka, OUTCOMES.name, 3)
        await poll_until(lambda: is_sent(publisher, b"8", partition=2), 20, what="the new partition taking records")
        await poll_until(lambda: len(seen) == 2, 30)
    assert sorted(seen) == [(0, 7), (2, 8)]


async def is_sent(publisher: Publisher, value: bytes, *, partition: int) -> bool:
    """The broker tells of a new partition a moment after it has made it."""
    try:
        await publisher.send(OUTCOMES.name, b"k", value, partition=partition)
    except Retryable:
        return False
    return True


async def test_a_group_divides_partitions_and_takes_them_over(kafka: KafkaConnection, publisher: Publisher) -> None:
    for partition in (0, 1):
        await publisher.publish_batch(REQUESTS.name, partition, numbered(50))
    places: dict[int, int] = {0: 0, 1: 0}
    seen: list[tuple[int, int]] = []

    async def run(reader: PartitionReader) -> None:
        reader.seek(places[reader.partition])
        while True:
            records = await reader.fetch(10, 0.1)
            seen.extend((reader.partition, number) for number in numbers(records))
            if records:
                places[reader.partition] = records[-1].offset + 1
                reader.commit(places[reader.partition])

    first = PartitionGroup(kafka, topic=REQUESTS.name, group="g", run_partition=run)
    second = PartitionGroup(kafka, topic=REQUESTS.name, group="g", run_partition=run)
    async with running(first):
        await poll_until(lambda: len(seen) == 100)
        async with running(second):
            await poll_until(lambda: len(first.partitions) == len(second.partitions) == 1)
        await poll_until(lambda: first.partitions == [0, 1])
        await publisher.publish_batch(REQUESTS.name, 1, numbered(1))
        await poll_until(lambda: len(seen) == 101)
    assert sorted(seen[:100]) == [(p, n) for p in (0, 1) for n in range(50)]
    async with LogInspector(kafka) as log:
        assert await log.committed("g", REQUESTS.name) == {0: 50, 1: 51}


async def test_a_partition_that_ends_with_a_transaction_is_done_to_its_end(kafka: KafkaConnection) -> None:
    seen: list[int] = []

    async def run(reader: PartitionReader) -> None:
        reader.seek(0)
        while True:
            records = await reader.fetch(10, 0.1)
            seen.extend(numbers(records))
            if records:
                reader.commit(records[-1].offset + 1)

    async with clients.producer(kafka, transactional_id="platform") as producer:
        async with producer.transaction():
            await producer.send(kafka.physical(REQUESTS.name), b"7", partition=0)
        await producer.begin_transaction()
        await producer.send_and_wait(kafka.physical(REQUESTS.name), b"8", partition=1)
        await producer.abort_transaction()
    async with LogInspector(kafka) as log, running(PartitionGroup(kafka, topic=REQUESTS.name, group="g", run_partition=run)):

        async def is_at_its_end() -> bool:
            with suppress(Retryable):  # a broker that has just started knows no groups yet
                return await log.committed("g", REQUESTS.name) == await log.ends(REQUESTS.name) == {0: 2, 1: 2}
            return False

        await poll_until(is_at_its_end, 30, what="both partitions to be done")
    assert seen == [7]


async def test_a_group_whose_loops_read_nothing_for_a_day_keeps_its_partitions(
    kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    async def run(reader: PartitionReader) -> None:
        begun.append(reader.partition)
        await reader.pause(3_600)

    monkeypatch.setattr(SubscriptionState, "fetcher_idle_time", property(lambda _: 86_400.0))
    group = PartitionGroup(kafka, topic=REQUESTS.name, group="g", run_partition=run)
    async with running(group):
        await poll_until(lambda: group.partitions == [0, 1])
        await asyncio.sleep(3 * groups.HEARTBEAT_MILLISECONDS / 1_000)
        assert (group.partitions, sorted(begun)) == ([0, 1], [0, 1])


FAILURES = 4


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that followers and groups make, in seconds, as they begin."""
    made: list[float] = []

    def noted() -> Iterator[float]:
        for pause in growing_pauses():
            made.append(pause)
            yield pause

    monkeypatch.setattr(following, "growing_pauses", noted)
    monkeypatch.setattr(groups, "growing_pauses", noted)
    return made


async def test_a_follower_that_has_recovered_begins_with_a_short_pause_again(
    kafka: KafkaConnection, publisher: Publisher, pauses: list[float]
) -> None:
    await publisher.send(CAMPAIGNS.name, b"spring", b"1")
    calls: list[int] = []

    def apply(_partition: int, _records: Sequence[Record]) -> None:
        calls.append(len(calls))
        if len(calls) != FAILURES + 1:
            raise Retryable("not now")

    follower = TopicFollower(kafka, {CAMPAIGNS.name: apply})
    async with running(follower):
        await asyncio.wait_for(follower.wait_loaded(), 20)
        await publisher.send(CAMPAIGNS.name, b"spring", b"2")
        await poll_until(lambda: len(pauses) > FAILURES)
    assert pauses[FAILURES - 1] > FIRST_SECONDS >= pauses[FAILURES]


async def test_a_loop_that_has_worked_for_a_while_begins_with_a_short_pause_again(
    kafka: KafkaConnection, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WORKS_AFTER_SECONDS", 0.1)
    attempts: list[int] = []

    async def run(reader: PartitionReader) -> None:
        if reader.partition == 0:
            attempts.append(len(attempts))
            if len(attempts) == FAILURES + 1:
                reader.seek(0)
                await reader.pause(0.2)
            raise Retryable("not now")
        await reader.pause(60)

    async with running(PartitionGroup(kafka, topic=REQUESTS.name, group="g", run_partition=run)):
        await poll_until(lambda: len(pauses) > FAILURES)
    assert pauses[FAILURES - 1] > FIRST_SECONDS >= pauses[FAILURES]


async def test_a_partition_that_stops_leaves_the_others_running(kafka: KafkaConnection, publisher: Publisher) -> None:
    worked: list[int] = []

    async def run(reader: PartitionReader) -> None:
        if reader.partition == 0:
            raise PartitionStopped("it is torn.", "counterfoil positions skip")
        reader.seek(0)
        while True:
            worked.extend(numbers(await reader.fetch(10, 0.1)))

    group = PartitionGroup(kafka, topic=REQUESTS.name, group="g", run_partition=run)
    async with running(group):
        await poll_until(lambda: 0 in group.stopped)
        await publisher.publish_batch(REQUESTS.name, 1, numbered(2))
        await poll_until(lambda: worked == [0, 1])


async def test_a_partition_that_was_mended_is_no_longer_told_as_stopped(
    kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "STOPPED_RETRY_SECONDS", 0.5)
    mended = away = False
    waited: set[int] = set()

    async def run(reader: PartitionReader) -> None:
        if reader.partition == 0 and not mended:
            raise PartitionStopped("it is torn.", "counterfoil positions skip")
        if away:
            waited.add(reader.partition)
            raise Retryable("Postgres is away")
        reader.seek(0)
        while not away:
            await reader.fetch(10, 0.1)
        raise Retryable("Postgres is away")

    group = PartitionGroup(kafka, topic=REQUESTS.name, group="g", run_partition=run)
    async with running(group):
        await poll_until(lambda: 0 in group.stopped)
        mended = True
        await poll_until(lambda: not group.stopped)
        assert group.partitions == [0, 1]
        away = True
        await poll_until(lambda: waited == {0, 1})
        assert not group.stopped, "a loop that waits for Postgres is not one that waits for an operator"


async def test_a_place_that_the_log_does_not_hold_is_said(kafka: KafkaConnection) -> None:
    said: list[OutOfRange] = []

    async def run(reader: PartitionReader) -> None:
        reader.seek(1_000)
        try:
            await reader.fetch(10, 5)
        except OutOfRange as error:
            said.append(error)
            await reader.pause(60)

    async with running(PartitionGroup(kafka, topic=REQUESTS.name, group="g", run_partition=run)):
        await poll_until(lambda: len(said) == 2)


async def test_any_other_failure_of_a_loop_ends_the_group(kafka: KafkaConnection) -> None:
    async def run(reader: PartitionReader) -> None:
        message = f"a mistake of ours in {reader.partition}"
        raise ZeroDivisionError(message)

    group = PartitionGroup(kafka, topic=REQUESTS.name, group="g", run_partition=run)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(group.run(), 20)


async def test_an_inspector_sees_bounds_last_records_and_times(kafka: KafkaConnection, publisher: Publisher) -> None:
    await publisher.publish_batch(OUTCOMES.name, 1, numbered(5))
    async with LogInspector(kafka) as log:
        assert await log.bounds(OUTCOMES.name, 1) == (0, 5)
        last = await log.last_record(OUTCOMES.name, 1)
        assert last is not None
        assert last.offset == 4
        assert await log.last_record(OUTCOMES.name, 0) is None
        assert await log.record_at(OUTCOMES.name, 1, 9) is None
        assert await log.ends(OUTCOMES.name) == {0: 0, 1: 5}
        assert await log.offsets_for_time(OUTCOMES.name, 0) == {0: 0, 1: 0}
        assert await log.offsets_for_time(OUTCOMES.name, int(time.time() + 3600) * 1000) == {0: 0, 1: 5}
