"""Which outcome a waiting caller takes for his: that of his own record, whatever else is repeated on the topic."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.redemption.handlers.synchronous import OutcomesFollower, OutcomeWaiters
from shared.kafka.records import Headers, Record


@dataclass
class Following:
    """A follower that has reached the ends."""

    arrived: Callable[[int, Sequence[Record]], None]

    async def run(self) -> None:
        return

    async def wait_loaded(self) -> None:
        return


@dataclass(frozen=True)
class ReadRecord:
    """A record of the outcomes topic."""

    value: bytes
    partition: int = 1
    offset: int = 0
    timestamp: int = 0
    timestamp_type: int = 0
    key: bytes | None = None
    headers: Headers = ()


def follower(arrived: Callable[[int, Sequence[Record]], None]) -> OutcomesFollower:
    return Following(arrived)


def outcome(epoch: int, event_id: str, *, platform: str = "zork") -> Record:
    """An outcome of partition 1, offset 7."""
    value = {
        "source": {"epoch": epoch, "partition": 1, "offset": 7},
        "platform": platform,
        "event_id": event_id,
        "epoch": epoch,
    }
    return ReadRecord(json.dumps(value).encode())


async def test_an_outcome_of_an_earlier_epoch_at_the_same_place_is_not_the_answer() -> None:
    waiters = OutcomeWaiters(follower)
    async with waiters, waiters.sending():
        waiters.arrived(1, [outcome(1, "old-1")])
        answer = waiters.expect((1, 7, "zork", "new-1"))
        waiters.arrived(1, [outcome(1, "old-1"), outcome(2, "new-1", platform="myst")])
        assert not answer.done()
        waiters.arrived(1, [outcome(2, "new-1")])
        assert json.loads(await answer)["epoch"] == 2


async def test_an_outcome_that_comes_before_its_place_is_known_is_kept() -> None:
    waiters = OutcomeWaiters(follower)
    async with waiters, waiters.sending():
        waiters.arrived(1, [outcome(1, "e-1")])
        assert json.loads(await waiters.expect((1, 7, "zork", "e-1")))["event_id"] == "e-1"
