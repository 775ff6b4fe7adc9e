"""Reads and small writes beside the loop: single events and codes, tallies of checks, places for operators."""

from collections.abc import Sequence
from typing import Any

from services.redemption.domain.budgets import MINUTE_MILLISECONDS, TALLY_MILLISECONDS, Tally
from services.redemption.domain.facts import Facts
from services.redemption.domain.ledger import LedgerEntry
from services.redemption.store.errors import postgres_errors
from services.redemption.store.transactions import QUERIES, LedgerTransaction, Wanted

CHECKS_PARTITION = -1
"""Checks by XML-RPC are no records; their tallies are kept under this number."""


class Lookups:
    """What callers and operators ask."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def ping(self) -> None:
        """Returns when Postgres answers."""
        await self._pool.execute(QUERIES.ping)

    async def entry_of_event(self, platform: str, event_id: str) -> LedgerEntry | None:
        """The accepted redemption of an event, with its reversal."""
        facts = await self._facts(serials=(), events=((platform, event_id),), at=0)
        return facts.entries[0] if facts.entries else None

    async def facts_of_code(self, serial: int | None, at: int) -> Facts:
        """The entries of a code and the tallies of the last minute. As much work for a code that leads nowhere."""
        return await self._facts(serials=(serial if serial is not None else 0,), events=(), at=at)

    async def count_check(self, platform: str, at: int, *, unknown: bool) -> None:
        """Counts a check of a code as a request of the platform (milliseconds)."""
        tally = Tally(platform=platform, starts_at=at - at % TALLY_MILLISECONDS, requests=1, unknown=int(unknown))
        with postgres_errors():
            async with self._pool.acquire(timeout=10) as connection:
                await LedgerTransaction(connection).add_tallies([tally], CHECKS_PARTITION)

    async def forget(self, *, attempts_before: int, tallies_before: int) -> None:
        """Deletes what no request can be judged by any more (milliseconds). Replaying changes nothing."""
        with postgres_errors():
            await self._pool.execute(QUERIES.forget_attempts, attempts_before)
            await self._pool.execute(QUERIES.forget_tallies, tallies_before)

    async def _facts(self, *, serials: Sequence[int], events: Sequence[tuple[str, str]], at: int) -> Facts:
        wanted = Wanted(
            serials=serials, events=events, slots=(), players=(), tallies_from=at - MINUTE_MILLISECONDS, tallies_to=at
        )
        with postgres_errors():
            async with self._pool.acquire(timeout=10) as connection:
                return await LedgerTransaction(connection).read_facts(wanted, None)
