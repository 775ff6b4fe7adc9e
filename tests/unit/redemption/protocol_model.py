"""A model of the redemption loop on one partition, small enough to look at every order in which things may happen.

Two workers run the loop at once, as a zombie and its successor do; either may crash at any step, an answer to COMMIT may get
lost, a send may be given up and still land later. Three records: two with outcomes, and between them one that is a dead letter.
Each rule of the protocol is a flag; `broken_by` gives the first thing that goes wrong, None when nothing ever does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

RECORDS: Final = 3
DEAD: Final = 1
"""The record that is a dead letter."""

STILL: Final = -1
"""Stands for the outcome of a transaction that does not move the place."""

Outcome = tuple[int, int]
"""(offset, version of the transaction that decided it): decided again, it would be another."""


class Rule(Enum):
    """What may be taken out."""

    START_AT_STORED_PLACE = auto()
    PUBLISH_AGAIN_ON_TAKE_OVER = auto()
    COMPARE_VERSIONS = auto()
    GO_ON_AFTER_A_LOST_ANSWER = auto()
    ONE_SEND_AT_A_TIME = auto()
    A_TIMEOUT_IS_NO_SUCCESS = auto()
    TRANSACT_AFTER_PUBLISHING = auto()
    BURY_BEFORE_THE_TRANSACTION = auto()
    READERS_KEEP_A_MARK = auto()


class Phase(Enum):
    DOWN = auto()
    STARTING = auto()
    PUBLISHING = auto()
    WAITING = auto()
    READY = auto()
    BURIED = auto()
    LEFT = auto()


class Worker(NamedTuple):
    """A process: what it has read, and what it still has to send of the outbox."""

    phase: Phase = Phase.DOWN
    position: int = 0
    version: int = 0
    outbox: tuple[Outcome, ...] = ()
    queue: tuple[Outcome, ...] = ()
    to_bury: bool = False


class Row(NamedTuple):
    """The partition's row in Postgres."""

    position: int = 0
    version: int = 0
    outbox: tuple[Outcome, ...] = ()


class Flight(NamedTuple):
    """A send on its way; `sender` still waits for it, or nobody does (-1)."""

    sender: int
    outcome: Outcome


class State(NamedTuple):
    row: Row = Row()
    ledger: tuple[Outcome, ...] = ()
    topic: tuple[Outcome, ...] = ()
    buried: bool = False
    committed: int = 0
    flights: tuple[Flight, ...] = ()
    workers: tuple[Worker, ...] = (Worker(), Worker())
    mishaps: int = 0
    still_left: int = 1


@dataclass(frozen=True, slots=True)
class Model:
    """The protocol with some rules; `mishaps` crashes, lost answers and timeouts may happen in all."""

    rules: frozenset[Rule]
    mishaps: int

    def broken_by(self) -> str | None:
        """Looks at every state that can be reached."""
        seen, waiting = {State()}, [State()]
        while waiting:
            state = waiting.pop()
            problem = self.problem(state)
            if problem:
                return problem
            for following in self.following(state):
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
        return None

    def problem(self, state: State) -> str | None:
        """What is wrong with a state."""
        offsets = [offset for offset, _ in state.ledger if offset != STILL]
        if len(offsets) != len(set(offsets)):
            return "a record was decided twice"
        read, gap = self._read(state.topic)
        if gap:
            return "a reader missed an outcome"
        if len(read) != len(set(read)):
            return "a reader counted an outcome twice"
        done = [w for w in state.workers if w.phase is Phase.READY and w.position == RECORDS and w.version == state.row.version]
        if done and not (set(state.ledger) <= set(state.topic) and len(offsets) == RECORDS - 1 and state.buried):
            return "all is decided, but an outcome or a dead letter was never sent"
        if all(w.phase is Phase.LEFT for w in state.workers) and state.row.position < RECORDS:
            return "nobody runs"
        return None

    def following(self, state: State) -> Iterator[State]:
        """All states that the next step may lead to."""
        for place, worker in enumerate(state.workers):
            yield from self._steps(state, place, worker)
            if state.mishaps < self.mishaps and worker.phase not in (Phase.DOWN, Phase.LEFT):
                yield _with(_forsaken(state, place), place, Worker())._replace(mishaps=state.mishaps + 1)
        for flight in set(state.flights):
            yield self._land(state, flight)

    def _steps(self, state: State, place: int, worker: Worker) -> Iterator[State]:
        match worker.phase:
            case Phase.DOWN:
                yield _with(state, place, worker._replace(phase=Phase.STARTING))
            case Phase.STARTING:
                yield self._take_over(state, place)
            case Phase.PUBLISHING:
                yield from self._publish(state, place, worker)
            case Phase.WAITING:
                if state.mishaps < self.mishaps:
                    yield self._time_out(state, place, worker)
            case Phase.READY:
                yield from self._decide(state, place, worker)
            case Phase.BURIED:
                yield from self._transact(state, place, worker, RECORDS)
            case Phase.LEFT:
                pass

    def _take_over(self, state: State, place: int) -> State:
        row = state.row
        position = row.position if Rule.START_AT_STORED_PLACE in self.rules else state.committed
        queue = row.outbox if Rule.PUBLISH_AGAIN_ON_TAKE_OVER in self.rules else ()
        return _with(state, place, Worker(Phase.PUBLISHING, position, row.version, row.outbox, queue))

    def _publish(self, state: State, place: int, worker: Worker) -> Iterator[State]:
        if worker.to_bury:
            yield _with(state, place, worker._replace(to_bury=False))._replace(buried=True)
            return
        if not worker.queue:
            ready = _with(state, place, worker._replace(phase=Phase.READY))
            yield ready
            if Rule.START_AT_STORED_PLACE not in self.rules:
                yield ready._replace(committed=worker.position)
            return
        if Rule.TRANSACT_AFTER_PUBLISHING not in self.rules:
            yield from self._decide(state, place, worker)
        sent = Flight(place, worker.queue[0])
        if Rule.ONE_SEND_AT_A_TIME in self.rules or len(worker.queue) == 1:
            waiting = worker._replace(phase=Phase.WAITING)
        else:
            sent, waiting = Flight(-1, worker.queue[0]), worker._replace(queue=worker.queue[1:])
        yield _with(state, place, waiting)._replace(flights=tuple(sorted((*state.flights, sent))))

    def _time_out(self, state: State, place: int, worker: Worker) -> State:
        """Nobody knows whether it landed; the whole outbox is published again."""
        if Rule.A_TIMEOUT_IS_NO_SUCCESS in self.rules:
            after = worker._replace(phase=Phase.PUBLISHING, queue=worker.outbox)
        else:
            after = worker._replace(phase=Phase.PUBLISHING, queue=worker.queue[1:])
        return _with(_forsaken(state, place), place, after)._replace(mishaps=state.mishaps + 1)

    def _decide(self, state: State, place: int, worker: Worker) -> Iterator[State]:
        if state.still_left:
            yield from self._transact(state, place, worker, worker.position, still=True)
        if worker.position == RECORDS:
            return
        if worker.position <= DEAD and Rule.BURY_BEFORE_THE_TRANSACTION in self.rules:
            yield _with(state, place, worker._replace(phase=Phase.BURIED))._replace(buried=True)
        for end in range(worker.position + 1, RECORDS + 1):
            holds_dead = worker.position <= DEAD < end
            if not holds_dead or Rule.BURY_BEFORE_THE_TRANSACTION not in self.rules:
                yield from self._transact(state, place, worker, end)

    def _transact(self, state: State, place: int, worker: Worker, end: int, *, still: bool = False) -> Iterator[State]:
        row = state.row
        same_version = worker.version == row.version
        same_place = worker.position == row.position or Rule.START_AT_STORED_PLACE not in self.rules
        fits = same_version if Rule.COMPARE_VERSIONS in self.rules else same_place
        if not fits:
            yield _with(state, place, self._refused(worker))
            return
        offsets = [STILL] if still else [offset for offset in range(worker.position, end) if offset != DEAD]
        outbox = tuple((offset, row.version) for offset in offsets)
        holds_dead = not still and worker.position <= DEAD < end and Rule.BURY_BEFORE_THE_TRANSACTION not in self.rules
        moved = state._replace(
            row=Row(end, row.version + 1, outbox),
            ledger=(*state.ledger, *outbox),
            still_left=state.still_left - still,
        )
        yield _with(moved, place, Worker(Phase.PUBLISHING, end, row.version + 1, outbox, outbox, holds_dead))
        if state.mishaps < self.mishaps:
            yield _with(moved, place, self._refused(worker))._replace(mishaps=state.mishaps + 1)

    def _refused(self, worker: Worker) -> Worker:
        """The place was moved by someone, or the answer to COMMIT got lost: read the row again."""
        if Rule.GO_ON_AFTER_A_LOST_ANSWER in self.rules:
            return worker._replace(phase=Phase.STARTING)
        return Worker(Phase.LEFT)

    def _land(self, state: State, flight: Flight) -> State:
        """The broker appends it; whoever still waits for it gets the answer."""
        left = list(state.flights)
        left.remove(flight)
        landed = state._replace(topic=(*state.topic, flight.outcome), flights=tuple(left))
        if flight.sender < 0:
            return landed
        worker = state.workers[flight.sender]
        return _with(landed, flight.sender, worker._replace(phase=Phase.PUBLISHING, queue=worker.queue[1:]))

    def _read(self, topic: tuple[Outcome, ...]) -> tuple[list[int], bool]:
        """The offsets that a reader counts, and whether it met one whose predecessor it never saw."""
        expected = [offset for offset in range(RECORDS) if offset != DEAD]
        if Rule.READERS_KEEP_A_MARK not in self.rules:
            return [offset for offset, _ in topic if offset != STILL], False
        read: list[int] = []
        for offset, _ in topic:
            if offset == STILL or (read and offset <= read[-1]):
                continue
            if offset != expected[len(read)]:
                return read, True
            read.append(offset)
        return read, False


def _with(state: State, place: int, worker: Worker) -> State:
    workers = list(state.workers)
    workers[place] = worker
    return state._replace(workers=tuple(workers))


def _forsaken(state: State, place: int) -> State:
    """What a worker has sent and no longer waits for may land at any time, or never."""
    flights = (Flight(-1, flight.outcome) if flight.sender == place else flight for flight in state.flights)
    return state._replace(flights=tuple(sorted(flights)))
