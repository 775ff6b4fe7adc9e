"""The worker: makes one batch after another for as long as it runs; several copies share the batches that wait."""

import asyncio
from typing import Final

import structlog

from services.codegen.handlers.batches import BatchHandlers
from services.codegen.handlers.loading import Claim, ClaimLost, Loader
from shared.kafka.pauses import growing_pauses
from shared.postgres.errors import is_retryable
from shared.telemetry import metrics

IDLE_SECONDS: Final = 0.2
SWEEP_EVERY: Final = 25
"""Rounds without a batch between two looks for what dead and halted copies left: five seconds."""

MADE: Final = metrics.counter("codegen_batches_total", "Batches that a worker let go of", ("how",))

log = structlog.get_logger(__name__)


class Worker:
    def __init__(self, loader: Loader, batches: BatchHandlers) -> None:
        self._loader = loader
        self._batches = batches
        self._wake = asyncio.Event()

    def nudge(self) -> None:
        """There may be a batch to be made."""
        self._wake.set()

    async def run(self) -> None:
        """Works until it is cancelled. While Postgres is away it waits; any other error of its own ends it."""
        pauses, rounds = growing_pauses(), 0
        while True:
            try:
                claim = await self._loader.claim()
                if claim is None:
                    rounds += 1
                    if rounds % SWEEP_EVERY == 1:
                        await self._batches.sweep()
                    await self._idle()
                else:
                    await self._make(claim)
                pauses = growing_pauses()
            except Exception as error:
                if not is_retryable(error):
                    raise
                pause = next(pauses)
                log.warning("worker waits", error=f"{type(error).__name__}: {error}", pause_seconds=round(pause, 1))
                await asyncio.sleep(pause)

    async def _make(self, claim: Claim) -> None:
        """Makes the claimed batch, waiting out a Postgres that is away or full, until it is made or no longer ours."""
        pauses = growing_pauses()
        current: Claim | None = claim
        while current is not None:
            try:
                await self._loader.make(current)
                MADE.labels("made").inc()
                return
            except ClaimLost:
                break
            except Exception as error:
                if not is_retryable(error):
                    raise
                reason = f"waiting: {type(error).__name__}: {error}"
                await self._wait_out(current, reason, next(pauses))
            current = await self._loader.look_again(current)
        MADE.labels("lost").inc()
        log.info("batch is no longer ours", batch_id=claim.batch.id)

    async def _wait_out(self, claim: Claim, reason: str, pause: float) -> None:
        log.warning("batch waits", batch_id=claim.batch.id, reason=reason, pause_seconds=round(pause, 1))
        try:
            await self._loader.note_trouble(claim, reason[:1_000])
        except Exception as error:
            if not is_retryable(error):
                raise
        await asyncio.sleep(pause)

    async def _idle(self) -> None:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
