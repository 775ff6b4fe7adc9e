"""Which outcome a waiting caller takes for his: that of his own record, whatever else is repeated on the topic."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.redemption.domain.places import StoredOutcome, StoredOutcomes
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


def published(epoch: int, *event_ids: str) -> StoredOutcomes:
    """Outcomes of partition 1, of the offsets from 7 on, as this copy has published them."""
    outcomes = [
        StoredOutcome(None, outcome(epoch, event_id).value or b"", 7 + number, "redemption.accepted")
        for number, event_id in enumerate(event_ids)
    ]
    return StoredOutcomes(epoch, 1, "2026-11-29T10:00:00Z", outcomes)


async def test_what_this_copy_has_published_is_the_answer_before_it_is_read_again() -> None:
    waiters = OutcomeWaiters(follower)
    async with waiters, waiters.sending():
        answer = waiters.expect((1, 7, "zork", "e-1"))
        waiters.published(published(1, "another at this place"))
        assert not answer.done()
        waiters.published(published(2, "e-1", "e-2"))
        assert json.loads(await answer)["epoch"] == 2
        waiters.arrived(1, [outcome(2, "e-1")])
        assert json.loads(await waiters.expect((1, 7, "zork", "e-1")))["epoch"] == 2, "sent again, it has the same answer"


async def test_who_has_stopped_waiting_is_forgotten() -> None:
    waiters = OutcomeWaiters(follower)
    async with waiters, waiters.sending():
        answer = waiters.expect((1, 7, "zork", "e-1"))
        waiters.forget((1, 7, "zork", "e-1"))
        waiters.published(published(1, "e-1"))
        waiters.forget((1, 7, "zork", "e-1"))
        assert not answer.done()
