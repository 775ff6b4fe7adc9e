"""Deciding a batch in one transaction with the place it moves (`protocol.md`, rules 3 to 9).

First without locks: the facts are read in one statement, every record is decided, and the rows are written only where the
facts still are what they were (a code and an event not taken, a count not changed, a limit not reached). Should any have
changed, nothing is kept and the batch is decided again with its counters locked first, in key order, so that it must get on.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Final

import structlog

from services.redemption.domain.budgets import MINUTE_MILLISECONDS, Budgets
from services.redemption.domain.catalogue import Catalogue, Counting
from services.redemption.domain.decisions import decide_batch
from services.redemption.domain.facts import Decisions, Facts
from services.redemption.domain.ledger import EventKey, PlayerKey, PlayerSlot
from services.redemption.domain.places import Place, StoredOutcomes
from services.redemption.domain.requests import Received
from services.redemption.handlers.outbox import compress, store_outcomes
from services.redemption.store.columns import Limits
from services.redemption.store.errors import Collision
from services.redemption.store.transactions import LedgerTransaction, LockedCounts, PartitionLedger, Wanted
from shared.contracts.game_platforms import RedeemRequest, ReverseRequest
from shared.contracts.redemption import OutcomeName
from shared.kafka.errors import Retryable
from shared.kafka.records import Record

ATTEMPTS: Final = 50
"""Each attempt that fails means that another loop has committed; more than this many in a row is a fault."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Decided:
    """A batch that is in the ledger: where the partition goes on, and what has to be published before it does."""

    place: Place
    outbox: StoredOutcomes | None
    counts: Mapping[OutcomeName, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Locks:
    guessers: frozenset[PlayerKey]
    slots: frozenset[PlayerSlot]
    campaigns: frozenset[str]


class Deciding:
    """Decides batches against the ledger. One for all partitions of a process."""

    def __init__(self, catalogue: Catalogue, budgets: Budgets, *, now: Callable[[], datetime]) -> None:
        self.catalogue = catalogue
        self.budgets = budgets
        self.now = now
        self.learned = Counting()

    async def decide(self, ledger: PartitionLedger, place: Place, batch: Sequence[Received], last: Record) -> Decided:
        """Decides the batch, writes it and moves the place past `last`, the last record that was fetched.

        Raises PlaceLost, Retryable, and InternalFailure for a record that the rules themselves fail on; in all of these
        cases nothing is written, but for Retryable after a lost answer to COMMIT.
        """
        locks: _Locks | None = None
        for _ in range(ATTEMPTS):
            attempt = _Attempt(self, place, batch, last, locks)
            try:
                async with ledger.transaction(locking=locks is not None) as transaction:
                    return await attempt.run(transaction)
            except Collision as collision:
                log.info("batch is decided again", partition=place.partition, reason=str(collision))
                locks = attempt.locks_for_next()
        raise Retryable(f"partition {place.partition}: {ATTEMPTS} attempts met other loops' changes")


class _Attempt:
    """One transaction's worth."""

    def __init__(self, deciding: Deciding, place: Place, batch: Sequence[Received], last: Record, locks: _Locks | None) -> None:
        self._deciding = deciding
        self._place = place
        self._batch = batch
        self._last = last
        self._locks = locks
        self._slots: Collection[PlayerSlot] = ()
        self._decisions: Decisions | None = None

    async def run(self, transaction: LedgerTransaction) -> Decided:
        deciding = self._deciding
        counting = deciding.catalogue.counting | deciding.learned
        locked = await self._lock(transaction, counting) if self._locks else None
        counting = locked.counting if locked else counting
        facts, decisions = Facts(), None
        if self._batch:
            facts, decisions = await self._decide(transaction, counting, locked)
        decided, moved = self._result(decisions)
        await transaction.write(
            decisions,
            facts,
            counting=counting,
            limits=self._limits(decisions.campaign_changes if decisions else ()),
            budgets=deciding.budgets,
            place=self._place,
            moved=moved,
        )
        return decided

    async def _decide(
        self, transaction: LedgerTransaction, counting: Counting, locked: LockedCounts | None
    ) -> tuple[Facts, Decisions]:
        deciding = self._deciding
        wanted = _wanted(self._batch, counting)
        self._slots = wanted.slots
        facts = await transaction.read_facts(wanted, locked)
        self._decisions = decide_batch(
            self._batch,
            facts,
            deciding.catalogue,
            deciding.budgets,
            decided_at=deciding.now(),
            prev=self._place.last_source,
            counting=counting,
        )
        return facts, self._decisions

    def locks_for_next(self) -> _Locks:
        """What this attempt has touched and the next one locks first."""
        changed = self._decisions.player_changes if self._decisions else {}
        before = self._locks or _Locks(guessers=frozenset(), slots=frozenset(), campaigns=frozenset())
        campaigns = {r.reading.batch.campaign_id for r in self._batch if r.reading.batch is not None}
        return _Locks(
            guessers=before.guessers.union(self._decisions.guessers if self._decisions else ()),
            slots=before.slots.union(self._slots, changed),
            campaigns=before.campaigns | campaigns | frozenset(self._decisions.campaign_changes if self._decisions else ()),
        )

    async def _lock(self, transaction: LedgerTransaction, counting: Counting) -> LockedCounts:
        assert self._locks is not None
        locked = await transaction.lock_counters(self._locks.guessers, self._locks.slots, self._locks.campaigns, counting)
        self._deciding.learned |= locked.counting
        return locked

    def _limits(self, campaign_ids: Iterable[str]) -> Limits:
        campaigns = [self._deciding.catalogue.campaign(campaign) for campaign in campaign_ids]
        return Limits(
            totals={c.id: c.limits.total for c in campaigns if c is not None and c.limits.total is not None},
            per_store={c.id: c.limits.per_store for c in campaigns if c is not None and c.limits.per_store is not None},
        )

    def _result(self, decisions: Decisions | None) -> tuple[Decided, Place]:
        """What the batch comes to once it is written, and the place as it is written."""
        outcomes = decisions.outcomes if decisions else ()
        stored = store_outcomes(self._batch, outcomes)
        moved = replace(
            self._place,
            position=self._last.offset + 1,
            outbox=compress(stored),
            last_key_hash=hash_key(self._last.key),
            last_timestamp=self._last.timestamp,
            last_source=decisions.last_source if decisions else self._place.last_source,
        )
        counts = Counter(outcome.outcome for outcome in outcomes)
        return Decided(replace(moved, version=self._place.version + 1, outbox=None), stored, counts), moved


def hash_key(key: bytes | None) -> int:
    """A number of 64 bits by which a record's key is known again."""
    digest = blake2b(key or b"", digest_size=8, person=b"key" if key is not None else b"none").digest()
    return int.from_bytes(digest, "big", signed=True)


def _wanted(batch: Sequence[Received], counting: Counting) -> Wanted:
    """What has to be known of the batch's codes, of the events whose redemptions it is about, and of its players."""
    serials: set[int] = set()
    events: set[EventKey] = set()
    slots: set[PlayerSlot] = set()
    players: set[PlayerKey] = set()
    for received in batch:
        request, reading = received.request, received.reading
        if reading.serial is not None:
            serials.add(reading.serial)
        match request:
            case RedeemRequest(platform=platform, player_id=player_id):
                events.add((platform, request.event_id))
                players.add((platform, player_id))
                if reading.batch is not None and reading.batch.campaign_id in counting.by_player:
                    slots.add((reading.batch.campaign_id, platform, player_id))
            case ReverseRequest():
                events.add((request.platform, request.reverses))
    times = [received.received_milliseconds for received in batch]
    tallies_from = min(times) - MINUTE_MILLISECONDS
    return Wanted(
        serials=serials, events=events, slots=slots, players=players, tallies_from=tallies_from, tallies_to=max(times)
    )
