"""What the lag metrics say of a partition: never less than there is to do, and the age of the oldest that waits."""

from dataclasses import dataclass

from prometheus_client import generate_latest

from shared.kafka import lag
from shared.kafka.lag import PartitionLag
from shared.kafka.records import Headers
from shared.telemetry.metrics import REGISTRY


@dataclass(frozen=True, slots=True)
class _Read:
    offset: int
    timestamp: int
    partition: int = 0
    timestamp_type: int = 1
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = ()


def test_nothing_is_behind_before_the_loop_says_where_it_starts() -> None:
    known = PartitionLag()
    known.measured(500, 10.0)
    assert (known.records, known.oldest_seconds(20.0)) == (0, 0.0)


def test_records_that_were_not_fetched_are_as_old_as_the_first_sight_of_them() -> None:
    known = PartitionLag()
    known.begin(0)
    known.measured(0, 10.0)
    known.measured(3, 11.0)
    known.measured(9, 12.0)
    assert (known.records, known.oldest_seconds(15.0)) == (9, 4.0)


def test_records_in_hand_are_as_old_as_their_append_time() -> None:
    known = PartitionLag()
    known.begin(0)
    known.measured(4, 100.0)
    known.fetched([_Read(0, 40_000), _Read(1, 41_000)])
    known.fetched([_Read(2, 50_000), _Read(3, 51_000)])
    assert known.oldest_seconds(100.0) == 60.0
    known.done(2)
    assert (known.records, known.oldest_seconds(100.0)) == (2, 50.0)
    known.done(4)
    assert (known.records, known.oldest_seconds(200.0)) == (0, 0.0)


def test_a_loop_that_begins_anew_forgets_what_it_had_in_hand() -> None:
    known = PartitionLag()
    known.begin(0)
    known.fetched([_Read(0, 1_000)])
    known.begin(1)
    known.measured(2, 90.0)
    assert (known.records, known.oldest_seconds(91.0)) == (1, 1.0)


def test_a_partition_that_does_not_move_for_days_keeps_its_age_in_little_memory() -> None:
    known = PartitionLag()
    known.begin(0)
    for second in range(10_000):
        known.measured(second + 1, float(second))
    assert known.oldest_seconds(10_000.0) == 10_000.0
    assert len(known._seen) <= lag.MEASUREMENTS_KEPT + 1


def test_a_partition_that_is_given_away_is_no_longer_told_of() -> None:
    known = PartitionLag()
    known.begin(0)
    known.measured(7, 1.0)
    lag.tell("t", "g", 3, known, now=1.0, stopped=True)
    assert b'counterfoil_consumer_lag_records{group="g",partition="3",topic="t"} 7.0' in generate_latest(REGISTRY)
    assert b'counterfoil_consumer_stopped{group="g",partition="3",topic="t"} 1.0' in generate_latest(REGISTRY)
    lag.forget("t", "g", 3)
    lag.forget("t", "g", 3)
    assert b'partition="3",topic="t"' not in generate_latest(REGISTRY)
