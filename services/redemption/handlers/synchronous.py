"""Callers who wait for their outcome: their request goes to Kafka like any other (`protocol.md`, rule 28).

An outcome that this copy has published itself is handed over at once. For those of other copies the outcomes topic is followed,
only while somebody waits, or has a moment ago: reading it all the time would cost each copy a fifth of what deciding does.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, Self

import msgspec
import structlog

from services.redemption.domain.places import StoredOutcomes
from shared.codes.alphabet import normalise
from shared.contracts.codec import encode
from shared.contracts.game_platforms import RedeemRequest, ReverseRequest
from shared.contracts.redemption import Source
from shared.contracts.topics import REQUESTS
from shared.kafka.errors import Retryable
from shared.kafka.records import Headers, Record

IDLE_SECONDS: Final = 30.0
READY_SECONDS: Final = 5.0
EARLY_KEPT: Final = 50_000
"""Outcomes that may arrive before their request's offset is known; far more than are decided in the time of one send."""

Place = tuple[int, int]
"""(partition, offset) of a request."""

Awaited = tuple[int, int, str, str]
"""(partition, offset, platform, event_id): the outcomes of an earlier epoch, which may be repeated, have the same places."""

log = structlog.get_logger(__name__)


class _Answer(msgspec.Struct, frozen=True):
    source: Source
    platform: str
    event_id: str


_decode_answer: Final = msgspec.json.Decoder(_Answer)


def _awaited(value: bytes) -> Awaited:
    answer = _decode_answer.decode(value)
    return answer.source.partition, answer.source.offset, answer.platform, answer.event_id


class NoAnswer(Exception):  # noqa: N818
    """No outcome came in time; the request is in the log and will be decided."""


class RequestPublisher(Protocol):
    """Writes one record and tells where it stands."""

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, *, headers: Headers = (), partition: int | None = None
    ) -> Place: ...


class OutcomesFollower(Protocol):
    """Follows the outcomes topic from its ends as of the start of `run`."""

    async def run(self) -> None: ...
    async def wait_loaded(self) -> None: ...


MakeFollower = Callable[[Callable[[int, Sequence[Record]], None]], OutcomesFollower]


class OutcomeWaiters:
    """Brings outcomes of the topic to those who wait for them, by the place of their own record, and by its event.

    The place alone would take an outcome of an earlier epoch that is repeated, the event alone one of an earlier sending.
    """

    def __init__(self, make_follower: MakeFollower) -> None:
        self._make_follower = make_follower
        self._waiting: dict[Awaited, asyncio.Future[bytes]] = {}
        self._places: Counter[Place] = Counter()
        self._early: dict[Awaited, bytes] = {}
        self._early_order: deque[Awaited] = deque()
        self._sending = 0
        self._last_wanted = float("-inf")
        self._following: asyncio.Task[None] | None = None
        self._follower: OutcomesFollower | None = None
        self._starting = asyncio.Lock()

    def arrived(self, _partition: int, records: Sequence[Record]) -> None:
        """Takes the next outcomes of a partition."""
        if not self._waiting and not self._sending:
            return
        for record in records:
            if record.value is None:
                continue
            awaited = _awaited(record.value)
            if not self._answer(awaited, record.value):
                self._keep_early(awaited, record.value)

    def published(self, stored: StoredOutcomes) -> None:
        """Takes outcomes that this copy has published: whoever waits here for one need not wait for it to be read again."""
        if not self._waiting:
            return
        for outcome in stored.outcomes:
            if (stored.partition, outcome.offset) in self._places:
                self._answer(_awaited(outcome.value), outcome.value)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Around the writing of a request: the topic is followed from an end before it, and nothing that comes is lost.

        Raises Retryable when the outcomes topic cannot be followed.
        """
        await self._follow()
        self._sending += 1
        try:
            yield
        finally:
            self._sending -= 1
            if not self._sending:
                self._early.clear()
                self._early_order.clear()

    def expect(self, awaited: Awaited) -> asyncio.Future[bytes]:
        """The outcome of the request at this place, once it comes. To be called within `sending`."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        early = self._early.pop(awaited, None)
        if early is not None:
            future.set_result(early)
        else:
            self._waiting[awaited] = future
            self._places[awaited[:2]] += 1
        return future

    def forget(self, awaited: Awaited) -> None:
        """Nobody waits for it any more."""
        if self._waiting.pop(awaited, None) is not None:
            self._places[awaited[:2]] -= 1
            if not self._places[awaited[:2]]:
                del self._places[awaited[:2]]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_ending: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends following."""
        task, self._following, self._follower = self._following, None, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def stop_when_idle(self) -> None:
        """Ends following when nobody has waited for a while."""
        if not self._waiting and not self._sending and time.monotonic() - self._last_wanted > IDLE_SECONDS:
            await self.close()

    async def _follow(self) -> None:
        self._last_wanted = time.monotonic()
        async with self._starting:
            if self._following is not None and self._following.done():
                log.error("following outcomes has ended", error=str(self._following.exception()))
                self._following = None
            if self._following is None:
                self._follower = self._make_follower(self.arrived)
                self._following = asyncio.create_task(self._follower.run(), name="outcomes for waiting callers")
            follower = self._follower
            assert follower is not None
        try:
            async with asyncio.timeout(READY_SECONDS):
                await follower.wait_loaded()
        except TimeoutError:
            raise Retryable("the outcomes topic cannot be read") from None

    def _answer(self, awaited: Awaited, value: bytes) -> bool:
        """Whether somebody waited for this outcome."""
        future = self._waiting.get(awaited)
        if future is None:
            return False
        self.forget(awaited)
        if not future.done():
            future.set_result(value)
        return True

    def _keep_early(self, awaited: Awaited, value: bytes) -> None:
        if not self._sending:
            return
        self._early[awaited] = value
        self._early_order.append(awaited)
        if len(self._early_order) > EARLY_KEPT:
            self._early.pop(self._early_order.popleft(), None)


class Submitting:
    """Writes a caller's request to the log and waits for what is decided of it."""

    def __init__(self, publisher: RequestPublisher, waiters: OutcomeWaiters, *, wait_seconds: float) -> None:
        self._publisher = publisher
        self._waiters = waiters
        self._wait_seconds = wait_seconds

    async def submit(self, request: RedeemRequest | ReverseRequest) -> bytes:
        """The outcome as it was published. Raises NoAnswer when none came in time, Retryable when Kafka is away."""
        async with self._waiters.sending():
            place = await self._publisher.send(REQUESTS.name, _key(request), encode(request), headers=_headers(request))
            awaited = (*place, request.platform, request.event_id)
            answer = self._waiters.expect(awaited)
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await answer
        except TimeoutError:
            raise NoAnswer(request.event_id) from None
        finally:
            self._waiters.forget(awaited)


def _key(request: RedeemRequest | ReverseRequest) -> bytes:
    """The code as it is normalised, which keeps what happens to it in order; else what the reversal points at."""
    if request.code is not None:
        return (normalise(request.code) or request.code).encode()
    return f"{request.platform}/{request.event_id}".encode()


def _headers(request: RedeemRequest | ReverseRequest) -> Headers:
    kind = "redeem" if isinstance(request, RedeemRequest) else "reverse"
    return (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", request.event_id.encode()),
        ("ce_source", f"/platforms/{request.platform}".encode()),
        ("ce_type", kind.encode()),
    )
