"""How far a group's partitions are behind their log, as metrics: records, and the age of the oldest that is not done.

A record's append time is known once it was fetched. Of one that was not, it is known since when the log has had it: the moment
of the first measurement that saw it. So a partition that is stopped or waits for Postgres shows its age as well.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from shared.kafka.records import Record
from shared.telemetry import metrics

MEASURE_SECONDS: Final = 1.0
MEASUREMENTS_KEPT: Final = 900
"""Of a partition that does not move, half an hour at least: every second measurement is dropped when there are more."""

LABELS: Final = ("topic", "group", "partition")
LAG: Final = metrics.gauge("consumer_lag_records", "Records on the partition that are not done yet", LABELS)
OLDEST: Final = metrics.gauge("consumer_oldest_seconds", "Age of the partition's oldest record that is not done yet", LABELS)
STOPPED: Final = metrics.gauge("consumer_stopped", "1 while the partition waits for an operator", LABELS)


class PartitionLag:
    """What is done of one partition and what is there. Times are in seconds since 1970, as the records' are."""

    def __init__(self) -> None:
        self._done: int | None = None
        self._fetched: deque[tuple[int, float]] = deque()
        self._seen: deque[tuple[int, float]] = deque()

    @property
    def begun(self) -> bool:
        """Whether a place is known."""
        return self._done is not None

    @property
    def records(self) -> int:
        """How many the log has beyond what is done; none before the loop has said where it starts."""
        end = self._seen[-1][0] if self._seen else 0
        return 0 if self._done is None else max(0, end - self._done)

    def begin(self, offset: int) -> None:
        """The loop reads on from here."""
        self._done = offset
        self._fetched.clear()

    def suppose(self, committed: int | None) -> None:
        """A loop that has not said where it starts (it may have stopped at once) is taken to stand where the group does."""
        if self._done is None:
            self._done = committed

    def fetched(self, records: Sequence[Record]) -> None:
        """These are in hand."""
        if records:
            self._fetched.append((records[-1].offset + 1, records[0].timestamp / 1000))

    def done(self, offset: int) -> None:
        """Everything below the offset is done."""
        self._done = max(offset, self._done or 0)
        while self._fetched and self._fetched[0][0] <= self._done:
            self._fetched.popleft()

    def measured(self, end: int, now: float) -> None:
        """The log's end was this."""
        while self._seen and self._seen[0][0] <= (self._done or 0):
            self._seen.popleft()
        self._seen.append((end, now))
        if len(self._seen) > MEASUREMENTS_KEPT:
            self._seen = deque([*list(self._seen)[::2], self._seen[-1]])

    def oldest_seconds(self, now: float) -> float:
        """The age of the oldest record that is not done; 0 when all are."""
        if not self.records:
            return 0.0
        since = [self._fetched[0][1]] if self._fetched else []
        since += [at for end, at in self._seen if end > (self._done or 0)][:1]
        return max(0.0, now - min(since, default=now))


def tell(topic: str, group: str, partition: int, lag: PartitionLag, *, now: float, stopped: bool) -> None:
    """Sets the metrics of a partition that is ours."""
    labels = (topic, group, str(partition))
    LAG.labels(*labels).set(lag.records)
    OLDEST.labels(*labels).set(lag.oldest_seconds(now))
    STOPPED.labels(*labels).set(int(stopped))


def forget(topic: str, group: str, partition: int) -> None:
    """The partition is another member's now: who has it tells of it."""
    for gauge in (LAG, OLDEST, STOPPED):
        try:
            gauge.remove(topic, group, str(partition))
        except KeyError:
            continue
