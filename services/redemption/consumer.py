"""What is read from Kafka: requests by a group, reference data and outcomes by following whole topics."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from services.redemption.handlers.partition_loop import PartitionLoop
from shared.contracts.topics import OUTCOMES, REDEMPTION_GROUP, REQUESTS
from shared.environment import KafkaConnection
from shared.kafka.following import TopicFollower, from_the_end
from shared.kafka.groups import PartitionGroup
from shared.kafka.records import Record

FETCH_BYTES: Final = 2 * 1024 * 1024
"""Two thousand requests with their keys and headers are about 600 KB; `getmany` gives no more than was fetched at once."""

FETCH_WAIT_MILLISECONDS: Final = 25
"""A partition whose records were taken is not asked for again before the fetch under way for the others has come back."""

Apply = Callable[[int, Sequence[Record]], None]


def request_group(connection: KafkaConnection, loop: PartitionLoop, *, session_timeout_milliseconds: int) -> PartitionGroup:
    """The loops of the partitions that this copy is given."""
    return PartitionGroup(
        connection,
        topic=REQUESTS.name,
        group=REDEMPTION_GROUP,
        run_partition=loop.run,
        session_timeout_ms=session_timeout_milliseconds,
        heartbeat_interval_ms=session_timeout_milliseconds // 5,
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MILLISECONDS,
    )


def reference_follower(connection: KafkaConnection, topics: Mapping[str, Apply]) -> TopicFollower:
    """Campaigns, stores, batches, voids and tokens, from their beginnings."""
    return TopicFollower(connection, topics)


def outcomes_follower(connection: KafkaConnection, arrived: Apply) -> TopicFollower:
    """Outcomes from now on, for callers who wait."""
    return TopicFollower(connection, {OUTCOMES.name: arrived}, start_at=from_the_end)
