"""One partition's connection to the ledger, and the transaction in which a batch is decided."""

import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import asyncpg
import msgspec

from services.redemption.domain.budgets import TALLY_MILLISECONDS, Budgets, Tally
from services.redemption.domain.catalogue import Counting
from services.redemption.domain.facts import Change, Decisions, Facts
from services.redemption.domain.ledger import EventKey, LedgerEntry, PlayerKey, PlayerSlot, StoreSlot
from services.redemption.domain.places import Place
from services.redemption.store.arguments import microseconds, numbers, numbers_or_none, texts
from services.redemption.store.errors import Collision, PlaceLost, postgres_errors
from services.redemption.store.rows import place_of, source_value
from shared.postgres.queries import Queries
from shared.telemetry import metrics

QUERIES: Final = Queries.beside(__file__)
COMMIT: Final = metrics.seconds("redemption_commit_seconds", "Committing the transaction of a batch")

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
class Limits:
    """The most that campaigns, and stores of campaigns, may reach; a campaign without limit is left out."""

    totals: Mapping[str, int]
    per_store: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedCounts:
    """Counters that nobody else can change before the transaction ends."""

    campaigns: Mapping[str, int]
    stores: Mapping[StoreSlot, int]
    counting: Counting


class LedgerTransaction:
    """Reads and writes of one batch. Everything is kept by the block's end or nothing is."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def read_facts(self, wanted: Wanted, locked: LockedCounts | None) -> Facts:
        platforms, events = _columns(wanted.events, 2)
        slots = _columns(wanted.slots, 3)
        players = _columns(wanted.players, 2)
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
        self, slots: Collection[PlayerSlot], campaigns: Collection[str], counting: Counting
    ) -> LockedCounts:
        """Locks players, then campaigns, and starts to count what the campaigns' limits newly need."""
        if slots:
            await self._connection.execute(QUERIES.lock_player_counters, *_columns(slots, 3))
        ids = texts(sorted(campaigns))
        await self._connection.execute(QUERIES.make_campaign_counters, ids)
        for row in await self._connection.fetch(QUERIES.lock_campaign_counters, ids):
            await self._start_counting(row, counting)
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

    async def write(self, decisions: Decisions, facts: Facts, counting: Counting, limits: Limits, budgets: Budgets) -> None:
        """Writes what was decided; the rows that others wait for come last. Raises Collision when the facts have changed."""
        await self.record_redemptions(decisions.redemptions)
        await self.record_reversals(decisions.reversals)
        await self._add_attempts(decisions, budgets.attempts_kept)
        await self._add_tallies(decisions)
        await self._change_player_counters(decisions.player_changes, facts.player_counts)
        await self._change_campaign_counters(decisions.campaign_changes, limits.totals, counting)
        await self._change_store_counters(decisions.store_changes, limits.per_store)

    async def move_place(self, place: Place, moved: Place) -> None:
        """The last statement of the transaction. Raises PlaceLost when someone else has moved the place."""
        status = await self._connection.execute(
            QUERIES.move_place,
            place.partition,
            place.version,
            moved.position,
            moved.outbox,
            moved.last_key_hash,
            moved.last_timestamp,
            source_value(moved.last_source),
        )
        if status != "UPDATE 1":
            raise PlaceLost(f"partition {place.partition} was moved past version {place.version}")

    async def _start_counting(self, row: asyncpg.Record, counting: Counting) -> None:
        campaign = row["campaign_id"]
        total = campaign in counting.in_total and not row["counts_total"]
        players = campaign in counting.by_player and not row["counts_players"]
        stores = campaign in counting.by_store and not row["counts_stores"]
        if total:
            await self._connection.execute(QUERIES.count_campaign_anew, campaign)
        if players:
            await self._connection.execute(QUERIES.start_counting_players, campaign)
        if stores:
            await self._connection.execute(QUERIES.start_counting_stores, campaign)
        if total or players or stores:
            await self._connection.execute(QUERIES.note_counting, campaign, total, players, stores)

    async def record_redemptions(self, entries: Sequence[LedgerEntry]) -> None:
        if not entries:
            return
        rows = sorted(entries, key=attrgetter("serial"))
        first = rows[0]
        received = {moment: microseconds(moment) for moment in {e.received_at for e in rows}}
        await self._connection.execute(
            QUERIES.record_redemptions,
            numbers([e.serial for e in rows]),
            numbers([e.generation for e in rows]),
            numbers([e.redemption_id for e in rows]),
            texts([e.platform for e in rows]),
            texts([e.event_id for e in rows]),
            texts([e.player_id for e in rows]),
            texts([e.campaign_id for e in rows]),
            texts([e.batch_id for e in rows]),
            texts([e.store_id for e in rows]),
            texts([e.store_region or "" for e in rows]),
            numbers([microseconds(e.occurred_at) for e in rows]),
            numbers([received[e.received_at] for e in rows]),
            numbers([e.source.offset for e in rows]),
            first.decided_at,
            first.source.epoch,
            first.source.partition,
        )

    async def record_reversals(self, entries: Sequence[LedgerEntry]) -> None:
        if not entries:
            return
        rows = [_reversal_row(entry) for entry in entries]
        await self._connection.execute(QUERIES.record_reversals, msgspec.json.encode(rows).decode())

    async def _add_attempts(self, decisions: Decisions, kept: int) -> None:
        rows = [(platform, player, at) for (platform, player), times in decisions.attempts.items() for at in times]
        if not rows:
            return
        platforms, players = _columns([(platform, player) for platform, player, _ in rows], 2)
        partition = decisions.outcomes[0].source.partition
        times = numbers([at for _, _, at in rows])
        await self._connection.execute(QUERIES.add_attempts, platforms, players, times, kept, partition)

    async def _add_tallies(self, decisions: Decisions) -> None:
        if decisions.tallies:
            await self.add_tallies(decisions.tallies, decisions.outcomes[0].source.partition)

    async def add_tallies(self, tallies: Sequence[Tally], partition: int) -> None:
        await self._connection.execute(
            QUERIES.add_tallies,
            texts([t.platform for t in tallies]),
            numbers([t.starts_at for t in tallies]),
            numbers([t.requests for t in tallies]),
            numbers([t.unknown for t in tallies]),
            partition,
        )

    async def _change_player_counters(self, changes: Mapping[PlayerSlot, int], counts: Mapping[PlayerSlot, int]) -> None:
        begun = [slot for slot in changes if slot not in counts]
        if begun:
            first = numbers([changes[slot] for slot in begun])
            await self._connection.execute(QUERIES.add_player_counters, *_columns(begun, 3), first)
        for change in sorted({changed for slot, changed in changes.items() if slot in counts}):
            slots = [slot for slot, changed in changes.items() if changed == change and slot in counts]
            after = numbers([counts[slot] + change for slot in slots])
            status = await self._connection.execute(QUERIES.change_player_counters, *_columns(slots, 3), after, change)
            _expect(status, "INSERT 0", len(slots), "a player's count was changed by another transaction")

    async def _change_campaign_counters(
        self, changes: Mapping[str, Change], totals: Mapping[str, int], counting: Counting
    ) -> None:
        """Counts where a total is kept; elsewhere makes sure that nobody starts to count before this is written."""
        held = sorted(changes.keys() - counting.in_total)
        if held:
            by_player = numbers([campaign in counting.by_player for campaign in held])
            rows = await self._connection.fetch(QUERIES.hold_campaign_counters, texts(held), by_player)
            _expect(f"SELECT {len(rows)}", "SELECT", len(held), "what a campaign counts has changed")
        changed = [campaign for campaign in changes if campaign in counting.in_total]
        if not changed:
            return
        status = await self._connection.execute(
            QUERIES.change_campaign_counters,
            texts(changed),
            numbers([changes[campaign].net for campaign in changed]),
            numbers([changes[campaign].peak for campaign in changed]),
            numbers_or_none(totals.get(campaign) for campaign in changed),
            numbers([campaign in counting.by_player for campaign in changed]),
            numbers([campaign in counting.by_store for campaign in changed]),
        )
        _expect(status, "UPDATE", len(changed), "a campaign's limit is near, or what it counts has changed")

    async def _change_store_counters(self, changes: Mapping[StoreSlot, Change], per_store: Mapping[str, int]) -> None:
        if not changes:
            return
        campaigns, stores = _columns(changes, 2)
        status = await self._connection.execute(
            QUERIES.change_store_counters,
            campaigns,
            stores,
            numbers([change.net for change in changes.values()]),
            numbers([change.peak for change in changes.values()]),
            numbers_or_none(per_store.get(campaign) for campaign, _ in changes),
        )
        _expect(status, "INSERT 0", len(changes), "a store's limit is near")


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
    async def transaction(self) -> AsyncIterator[LedgerTransaction]:
        """Raises Collision or Retryable with nothing written; after Retryable a lost answer to COMMIT may have been a yes."""
        with postgres_errors():
            async with self._connection.transaction():
                yield LedgerTransaction(self._connection)
                started = time.monotonic()
            COMMIT.observe(time.monotonic() - started)


def _columns(rows: Iterable[Sequence[str]], width: int) -> tuple[str, ...]:
    columns = list(zip(*rows, strict=True))
    return tuple(texts(column) for column in columns) if columns else ("",) * width


def _expect(status: str, verb: str, rows: int, otherwise: str) -> None:
    if status != f"{verb} {rows}":
        raise Collision(otherwise)


def _reversal_row(entry: LedgerEntry) -> dict[str, Any]:
    reversal = entry.reversal
    assert reversal is not None
    return {
        "serial": entry.serial,
        "generation": entry.generation,
        "redemption_id": entry.redemption_id,
        "event_id": reversal.event_id,
        "reason": reversal.reason,
        "occurred_at": reversal.occurred_at,
        "received_at": reversal.received_at,
        "decided_at": reversal.decided_at,
        "source_epoch": reversal.source.epoch,
        "source_partition": reversal.source.partition,
        "source_offset": reversal.source.offset,
    }
