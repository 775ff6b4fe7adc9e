"""What runs by itself beside the loops."""

import asyncio
import time
from typing import Final

import structlog

from services.redemption.domain.budgets import DAY_MILLISECONDS, Breakers, Budgets
from services.redemption.handlers.synchronous import OutcomeWaiters
from services.redemption.store.lookups import Lookups
from shared.kafka.errors import Retryable
from shared.telemetry import metrics

KEPT_MILLISECONDS: Final = 8 * DAY_MILLISECONDS
"""A request may be as old as the topic keeps it, seven days; what it is judged by must be older than that to be deleted."""

FORGET_SECONDS: Final = 60.0
IDLE_LOOK_SECONDS: Final = 5.0
BREAKER_LOOK_SECONDS: Final = 5.0

BREAKER: Final = metrics.gauge("redemption_breaker_open", "1 while the platform's guesses are refused unseen", ("platform",))

log = structlog.get_logger(__name__)


async def forget_old_attempts(lookups: Lookups) -> None:
    """Deletes failed attempts and tallies once a minute that no request can be judged by any more."""
    while True:
        before = int(time.time() * 1000) - KEPT_MILLISECONDS
        try:
            await lookups.forget(attempts_before=before - DAY_MILLISECONDS, tallies_before=before)
        except Retryable as error:
            log.warning("old attempts are kept for now", error=str(error))
        await asyncio.sleep(FORGET_SECONDS)


async def watch_breakers(lookups: Lookups, budgets: Budgets) -> None:
    """Tells which platforms' breakers are open, from the tallies that all copies share."""
    told: set[str] = set()
    while True:
        try:
            await _tell_breakers(lookups, budgets, told)
        except Retryable as error:
            log.warning("breakers are not known for now", error=str(error))
        await asyncio.sleep(BREAKER_LOOK_SECONDS)


async def _tell_breakers(lookups: Lookups, budgets: Budgets, told: set[str]) -> None:
    at = int(time.time() * 1000)
    tallies = (await lookups.facts_of_code(None, at)).tallies
    breakers = Breakers(tallies, budgets)
    told |= {tally.platform for tally in tallies}
    for platform in told:
        BREAKER.labels(platform).set(int(breakers.is_open(platform, at)))


async def stop_following_when_idle(waiters: OutcomeWaiters) -> None:
    """Ends the reading of outcomes when no caller has waited for a while."""
    while True:
        await asyncio.sleep(IDLE_LOOK_SECONDS)
        await waiters.stop_when_idle()
