"""The ledger as two CSV files, and an empty ledger filled from them."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from services.redemption.domain.ledger import LedgerEntry
from services.redemption.domain.places import Place
from services.redemption.store.errors import postgres_errors
from services.redemption.store.mending import count_anew
from services.redemption.store.rows import place_of
from services.redemption.store.transactions import QUERIES, LedgerTransaction

REDEMPTIONS_FILE: Final = "redemptions.csv"
REVERSALS_FILE: Final = "reversals.csv"

_entry: Final = msgspec.json.Decoder(LedgerEntry)


class UnreadableLedger(Exception):  # noqa: N818 (told to an operator)
    """The files hold what the ledger does not take. The text says what; nothing was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCounts:
    """How much there is, and the highest epoch and partition that it came from; None for an empty ledger."""

    redemptions: int
    reversals: int
    epoch: int | None
    partition: int | None


class LoadingTransaction:
    """An empty ledger while it is filled. Everything is kept by the block's end or nothing is."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def count(self) -> LedgerCounts:
        return LedgerCounts(**await self._connection.fetchrow(QUERIES.count_ledger))

    async def copy(self, folder: Path) -> None:
        """Raises UnreadableLedger."""
        for table, name in (("redemptions", REDEMPTIONS_FILE), ("reversals", REVERSALS_FILE)):
            columns = (folder / name).open(encoding="utf-8").readline().strip().split(",")
            try:
                await self._connection.copy_to_table(
                    table, source=folder / name, columns=columns, format="csv", header=True, timeout=None
                )
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.UndefinedColumnError) as error:
                raise UnreadableLedger(f"{name}: {error}") from None

    async def entries_of(self, partition: int) -> list[LedgerEntry]:
        """The entries that were accepted or reversed by a request of the partition, in no order."""
        rows = await self._connection.fetch(QUERIES.ledger_of_partition, partition, timeout=None)
        return [_entry.decode(row["entry"]) for row in rows]

    async def count_campaigns(self) -> None:
        """Sets the counts that are kept to what the ledger says; the others are made when a limit first needs them."""
        for row in await self._connection.fetch(QUERIES.campaigns_of_ledger):
            await count_anew(self._connection, row["campaign_id"])

    async def places(self, partitions: Sequence[int], first_offset: Callable[[int], int]) -> Mapping[int, Place]:
        """The places of all partitions, those that were missing made at their logs' first offsets."""
        for partition in partitions:
            await self._connection.execute(QUERIES.create_place, partition, first_offset(partition))
        places = [place_of(row) for row in await self._connection.fetch(QUERIES.read_places)]
        return {place.partition: place for place in places}

    async def move_place(self, place: Place, moved: Place) -> None:
        """Raises PlaceLost when a loop has moved the place meanwhile."""
        await LedgerTransaction(self._connection).move_place(place, moved)
        await self._connection.execute(QUERIES.set_epoch, place.partition, moved.epoch)


class LedgerFiles:
    """What dumping and loading do to the ledger's tables."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def dump(self, folder: Path) -> None:
        """Writes both files, as of one moment, in the order of the ledger's key: the same ledger gives the same bytes."""
        with postgres_errors():
            async with (
                self._pool.acquire(timeout=10) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                for statement, name in ((QUERIES.dump_redemptions, REDEMPTIONS_FILE), (QUERIES.dump_reversals, REVERSALS_FILE)):
                    await connection.copy_from_query(statement, output=folder / name, format="csv", header=True, timeout=None)

    async def count(self) -> LedgerCounts:
        with postgres_errors():
            async with self._pool.acquire(timeout=10) as connection:
                return await LoadingTransaction(connection).count()

    @asynccontextmanager
    async def loading(self) -> AsyncIterator[LoadingTransaction]:
        """A transaction in which nobody else decides."""
        with postgres_errors():
            async with self._pool.acquire(timeout=10) as connection, connection.transaction():
                await connection.execute(QUERIES.wait_for_outcomes_within_loading)
                await connection.execute(QUERIES.hold_ledger)
                yield LoadingTransaction(connection)
