"""One partition's connection to the ledger, and the transaction in which a batch is decided.

While no counter is locked first, the transaction is the one call that writes: the facts that it was decided on are compared by
that call, so nothing has to be held while it is decided.
"""

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import msgspec

from services.redemption.domain.budgets import TALLY_MILLISECONDS, Budgets, Tally
from services.redemption.domain.catalogue import Counting
from services.redemption.domain.facts import Decisions, Facts
from services.redemption.domain.ledger import EventKey, LedgerEntry, PlayerKey, PlayerSlot, StoreSlot
from services.redemption.domain.places import Place
from services.redemption.store import columns
from services.redemption.store.arguments import numbers, texts
from services.redemption.store.columns import Limits
from services.redemption.store.errors import Collision, PlaceLost, postgres_errors
from services.redemption.store.rows import place_of, source_value
from shared.postgres.connections import hold
from shared.postgres.halted import ending_halted
from shared.postgres.queries import Queries
from shared.telemetry import metrics

QUERIES: Final = Queries.beside(__file__)
COUNTING_SECONDS: Final = 600.0
"""Counting a campaign's redemptions once, when it is given its first limit, may take minutes; the campaign waits for it."""

COMMIT: Final = metrics.seconds("redemption_commit_seconds", "Writing a batch and committing it")

_entries: Final = msgspec.json.Decoder(list[LedgerEntry])
_player_counts: Final = msgspec.json.Decoder(list[tuple[str, str, str, int]])
_attempts: Final = msgspec.json.Decoder(list[tuple[str, str, list[int]]])
_tallies: Final = msgspec.json.Decoder(list[Tally])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What has to be read for a batch."""

    serials: Collection[int]
    events: Collection[EventKey]
    slots: Collection[PlayerSlot]
    players: Collection[PlayerKey]
    tallies_from: int
    tallies_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedCounts:
    """Counters that nobody else can change before the transaction ends."""

    campaigns: Mapping[str, int]
    stores: Mapping[StoreSlot, int]
    counting: Counting


class LedgerTransaction:
    """Reads and writes of one batch; `PartitionLedger.transaction` says which of them are kept together."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def read_facts(self, wanted: Wanted, locked: LockedCounts | None) -> Facts:
        platforms, events = columns.keys(wanted.events, 2)
        slots = columns.keys(wanted.slots, 3)
        players = columns.keys(wanted.players, 2)
        row = await self._connection.fetchrow(
            QUERIES.read_facts,
            numbers(wanted.serials),
            platforms,
            events,
            *slots,
            *players,
            wanted.tallies_from - wanted.tallies_from % TALLY_MILLISECONDS,
            wanted.tallies_to,
        )
        return Facts(
            entries=_entries.decode(row["entries"] or "[]"),
            player_counts={
                (c, platform, player): n for c, platform, player, n in _player_counts.decode(row["player_counts"] or "[]")
            },
            attempts={(platform, player): times for platform, player, times in _attempts.decode(row["attempts"] or "[]")},
            tallies=_tallies.decode(row["tallies"] or "[]"),
            campaign_counts=locked.campaigns if locked else None,
            store_counts=locked.stores if locked else None,
        )

    async def lock_counters(
        self, guessers: Collection[PlayerKey], slots: Collection[PlayerSlot], campaigns: Collection[str], counting: Counting
    ) -> LockedCounts:
        """Locks who guesses, then players, then campaigns, and starts to count what the campaigns' limits newly need."""
        if guessers:
            await self._connection.execute(QUERIES.lock_guessers, *columns.keys(guessers, 2))
        if slots:
            await self._connection.execute(QUERIES.lock_player_counters, *columns.keys(slots, 3))
        ids = texts(sorted(campaigns))
        await self._connection.execute(QUERIES.make_campaign_counters, ids)
        rows = await self._connection.fetch(QUERIES.lock_campaign_counters, ids)
        if any([await self._start_counting(row, counting) for row in rows]):
            rows = await self._connection.fetch(QUERIES.lock_campaign_counters, ids)
        stores = await self._connection.fetch(QUERIES.read_store_counters, ids)
        return LockedCounts(
            campaigns={row["campaign_id"]: row["redeemed"] for row in rows},
            stores={(row["campaign_id"], row["store_id"]): row["redeemed"] for row in stores},
            counting=Counting(
                in_total=counting.in_total | {row["campaign_id"] for row in rows if row["counts_total"]},
                by_player=counting.by_player | {row["campaign_id"] for row in rows if row["counts_players"]},
                by_store=counting.by_store | {row["campaign_id"] for row in rows if row["counts_stores"]},
            ),
        )

    async def write(
        self,
        decisions: Decisions | None,
        facts: Facts,
        *,
        counting: Counting,
        limits: Limits,
        budgets: Budgets,
        place: Place,
        moved: Place,
    ) -> None:
        """Moves the place and writes what was decided; the rows that others wait for come last.

        Raises Collision when the facts have changed, PlaceLost when someone else has moved the place.
        """
        if decisions is not None and _may_stay_above_a_limit(decisions, facts, limits):
            raise Collision("what the batch frees is taken again within it")
        started = time.monotonic()
        rows = _rows(decisions, facts, counting, limits, budgets) if decisions is not None else (None,) * 12
        if not await self._connection.fetchval(QUERIES.write_batch, *_place(place, moved), *rows):
            raise PlaceLost(f"partition {place.partition} was moved past version {place.version}")
        COMMIT.observe(time.monotonic() - started)

    async def move_place(self, place: Place, moved: Place) -> None:
        """Moves the place alone. Raises PlaceLost when someone else has moved it."""
        if not await self._connection.fetchval(QUERIES.move_place, *_place(place, moved)):
            raise PlaceLost(f"partition {place.partition} was moved past version {place.version}")

    async def record_redemptions(self, entries: Sequence[LedgerEntry]) -> None:
        """Entries of one partition, epoch and moment of decision."""
        first = entries[0]
        rows = columns.redemptions(entries)
        await self._connection.fetchval(
            QUERIES.record_redemptions, rows, first.decided_at, first.source.epoch, first.source.partition
        )

    async def record_reversals(self, entries: Sequence[LedgerEntry]) -> None:
        if entries:
            await self._connection.fetchval(QUERIES.record_reversals, columns.reversals(entries))

    async def add_tallies(self, tallies: Sequence[Tally], partition: int) -> None:
        await self._connection.fetchval(QUERIES.add_tallies, columns.tallies(tallies), partition)

    async def _start_counting(self, row: asyncpg.Record, counting: Counting) -> bool:
        """Whether anything of the campaign had to be counted that was not counted before."""
        campaign = row["campaign_id"]
        total = campaign in counting.in_total and not row["counts_total"]
        players = campaign in counting.by_player and not row["counts_players"]
        stores = campaign in counting.by_store and not row["counts_stores"]
        if not (total or players or stores):
            return False
        await self._connection.execute(hold(0))
        counted = [
            (total, QUERIES.count_campaign_anew),
            (players, QUERIES.start_counting_players),
            (stores, QUERIES.start_counting_stores),
        ]
        for wanted, statement in counted:
            if wanted:
                await self._connection.execute(statement, campaign, timeout=COUNTING_SECONDS)
        await self._connection.execute(QUERIES.note_counting, campaign, total, players, stores)
        await self._connection.execute(hold())
        return True


class PartitionLedger:
    """The ledger as one partition's loop uses it, over a connection of its own."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def read_place(self, partition: int) -> Place | None:
        with postgres_errors():
            row = await self._connection.fetchrow(QUERIES.read_place, partition)
        return place_of(row) if row is not None else None

    async def create_place(self, partition: int, first_offset: int) -> None:
        """Makes the place of a partition that has none; replaying changes nothing."""
        with postgres_errors():
            await self._connection.execute(QUERIES.create_place, partition, first_offset)

    @asynccontextmanager
    async def transaction(self, *, locking: bool) -> AsyncIterator[LedgerTransaction]:
        """Without `locking`, `write` is a transaction of its own; with it, all of the block is one.

        Raises Collision or Retryable with nothing written; after Retryable a lost answer may have been a yes.
        """
        with postgres_errors():
            held: AbstractAsyncContextManager[Any] = self._connection.transaction() if locking else nullcontext()
            async with ending_halted(self._connection), held:
                if locking:
                    await self._connection.execute(hold())
                yield LedgerTransaction(self._connection)


def _may_stay_above_a_limit(decisions: Decisions, facts: Facts, limits: Limits) -> bool:
    """Counts are compared with limits as they grow; one that is refilled does not, and a limit may be lower than it was."""
    locked = facts.campaign_counts or {}
    totals, per_store = limits.totals.keys() - locked.keys(), limits.per_store.keys() - locked.keys()
    return any(decisions.campaign_changes[campaign].only_refills for campaign in totals) or any(
        change.only_refills for (campaign, _), change in decisions.store_changes.items() if campaign in per_store
    )


def _place(place: Place, moved: Place) -> tuple[Any, ...]:
    return (
        place.partition,
        place.version,
        moved.position,
        moved.outbox,
        moved.last_key_hash,
        moved.last_timestamp,
        source_value(moved.last_source),
    )


def _rows(decisions: Decisions, facts: Facts, counting: Counting, limits: Limits, budgets: Budgets) -> tuple[Any, ...]:
    first = decisions.outcomes[0]
    return (
        first.decided_at,
        first.source.epoch,
        columns.redemptions(decisions.redemptions),
        columns.reversals(decisions.reversals),
        columns.attempts(decisions.attempts, decisions.guessers, facts.attempts),
        budgets.attempts_kept,
        columns.tallies(decisions.tallies),
        columns.players_begun(decisions.player_changes, facts.player_counts),
        columns.players_changed(decisions.player_changes, facts.player_counts),
        columns.campaigns_held(decisions.campaign_changes, counting),
        columns.campaigns_counted(decisions.campaign_changes, limits.totals, counting),
        columns.stores(decisions.store_changes, limits.per_store),
    )
