"""Writes of the operators' commands. Each compares the version of what it moves, as the loops do."""

from collections.abc import Collection, Sequence
from typing import Any

from services.redemption.domain.ledger import LedgerEntry
from services.redemption.domain.places import Place
from services.redemption.domain.recovery import Adopted
from services.redemption.store.errors import PlaceLost, postgres_errors
from services.redemption.store.rows import place_of
from services.redemption.store.transactions import QUERIES, LedgerTransaction, Wanted


class Mending:
    """What `counterfoil positions` reads and changes."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def places(self) -> Sequence[Place]:
        """All places, with their outboxes."""
        with postgres_errors():
            rows = await self._pool.fetch(QUERIES.read_places)
        return [place_of(row) for row in rows]

    async def entries_of(self, serials: Collection[int]) -> Sequence[LedgerEntry]:
        """The ledger entries of some codes."""
        wanted = Wanted(serials=serials, events=(), slots=(), players=(), tallies_from=0, tallies_to=0)
        with postgres_errors():
            async with self._pool.acquire(timeout=10) as connection:
                return (await LedgerTransaction(connection).read_facts(wanted, None)).entries

    async def begin_epoch(self, place: Place, *, epoch: int, position: int) -> None:
        """Raises PlaceLost when a loop has moved the place meanwhile."""
        with postgres_errors():
            status = await self._pool.execute(QUERIES.begin_epoch, place.partition, place.version, epoch, position)
        _moved(status, place)

    async def skip_to(self, place: Place, position: int) -> None:
        """Moves the place over what is gone and notes it. Raises PlaceLost when a loop has moved the place meanwhile."""
        with postgres_errors():
            async with self._pool.acquire(timeout=10) as connection, connection.transaction():
                status = await connection.execute(QUERIES.skip_to, place.partition, place.version, position)
                _moved(status, place)
                await connection.execute(QUERIES.record_skipped, place.partition, place.epoch, place.position, position)

    async def adopt(self, adopted: Adopted, moves: Sequence[tuple[Place, Place]]) -> None:
        """Adds rows to the ledger, counts their campaigns anew and moves places, all or nothing.

        Raises PlaceLost when a loop has moved one of the places meanwhile, Collision when one has written one of the rows.
        """
        campaigns = sorted({entry.campaign_id for entry in (*adopted.redemptions, *adopted.reversals)})
        with postgres_errors():
            async with self._pool.acquire(timeout=10) as connection, connection.transaction():
                transaction = LedgerTransaction(connection)
                for entries in _by_decision(adopted.redemptions):
                    await transaction.record_redemptions(entries)
                await transaction.record_reversals(adopted.reversals)
                for campaign in campaigns:
                    await count_anew(connection, campaign)
                for place, moved in moves:
                    await transaction.move_place(place, moved)
                    await connection.execute(QUERIES.set_epoch, place.partition, moved.epoch)


async def count_anew(connection: Any, campaign: str) -> None:
    """Sets what is counted of a campaign to what the ledger says, for a ledger that was filled by other ways than its loops."""
    await connection.execute(QUERIES.make_campaign_counters, campaign)
    (row,) = await connection.fetch(QUERIES.lock_campaign_counters, campaign)
    if row["counts_total"]:
        await connection.execute(QUERIES.count_campaign_anew, campaign)
    if row["counts_players"]:
        await connection.execute(QUERIES.clear_player_counters, campaign)
        await connection.execute(QUERIES.start_counting_players, campaign)
    if row["counts_stores"]:
        await connection.execute(QUERIES.clear_store_counters, campaign)
        await connection.execute(QUERIES.start_counting_stores, campaign)


def _by_decision(entries: Sequence[LedgerEntry]) -> list[list[LedgerEntry]]:
    """Entries that share a partition, an epoch and a moment of decision are inserted together."""
    groups: dict[object, list[LedgerEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.source.epoch, entry.source.partition, entry.decided_at), []).append(entry)
    return list(groups.values())


def _moved(status: str, place: Place) -> None:
    if status != "UPDATE 1":
        raise PlaceLost(f"partition {place.partition} was moved past version {place.version}; look again")
