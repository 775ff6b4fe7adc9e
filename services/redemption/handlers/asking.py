"""Questions that change nothing: what was decided of an event, and what a code is worth now."""

import time
from collections.abc import Callable
from datetime import datetime

import structlog

from services.redemption.domain.budgets import Breakers, Budgets
from services.redemption.domain.catalogue import Catalogue
from services.redemption.domain.checks import Checked, check_code
from services.redemption.domain.ledger import LedgerEntry
from services.redemption.domain.outcomes import looked_up
from services.redemption.domain.requests import CodeReading, CodeState
from services.redemption.handlers.codes import CodeReader
from services.redemption.handlers.references import Freshness
from services.redemption.store.lookups import Lookups
from shared.contracts.redemption import Outcome

log = structlog.get_logger(__name__)


class Asking:
    """Answers from the ledger and the reference data."""

    def __init__(
        self,
        lookups: Lookups,
        codes: CodeReader,
        catalogue: Catalogue,
        freshness: Freshness,
        budgets: Budgets,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._lookups = lookups
        self._codes = codes
        self._catalogue = catalogue
        self._freshness = freshness
        self._budgets = budgets
        self._now = now

    async def redemption(self, platform: str, event_id: str) -> Outcome | None:
        """The accepted redemption of an event, as a request sent again would be answered; None where there is none yet."""
        entry = await self._lookups.entry_of_event(platform, event_id)
        return looked_up(entry, self._hint(entry)) if entry is not None else None

    async def check(self, platform: str, code: str) -> Checked:
        """What a code is worth now. A code that nobody was given counts against the platform's breaker."""
        reading = await self._read(code)
        now = self._now()
        at = round(now.timestamp() * 1000)
        facts = await self._lookups.facts_of_code(reading.serial, at)
        breaker_open = Breakers(facts.tallies, self._budgets).is_open(platform, at)
        await self._lookups.count_check(platform, at, unknown=reading.state is CodeState.UNKNOWN)
        latest = max(facts.entries, key=lambda entry: entry.generation, default=None)
        return check_code(reading, latest, self._catalogue, platform=platform, now=now, breaker_open=breaker_open)

    async def _read(self, code: str) -> CodeReading:
        asked_at = time.monotonic()
        await self._freshness.wait()
        reading = self._codes.read([code])[0]
        if reading.state is CodeState.UNKNOWN:
            await self._freshness.read_batches(as_of=asked_at)
            reading = self._codes.read([code])[0]
        return reading

    def _hint(self, entry: LedgerEntry) -> str | None:
        batch = self._catalogue.batches.get(entry.batch_id)
        return self._codes.hint_of(entry.serial, batch) if batch is not None else None
