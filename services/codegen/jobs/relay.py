"""The relay: the one sender of codegen's records, whichever copy it runs in (rule 21)."""

import asyncio
import uuid
from typing import Final

import structlog

from services.codegen.handlers.relaying import Relaying, TopicMirror, TopicReader, send_again
from services.codegen.store.database import Database
from shared.kafka.errors import Retryable
from shared.kafka.pauses import growing_pauses
from shared.postgres.errors import is_retryable
from shared.telemetry import metrics

LEASE_SECONDS: Final = 6.0
RENEW_SECONDS: Final = 2.0
IDLE_SECONDS: Final = 0.05
STANDBY_SECONDS: Final = 0.5
READ_BACK_SECONDS: Final = 30.0
"""The topics are read back when the lease was taken, and then this often: a paused relay may have sent something old."""

TROUBLED_AFTER_SECONDS: Final = 30.0
WAITING: Final = metrics.gauge("codegen_outbox_records", "Records that wait for the relay")
OLDEST: Final = metrics.gauge("codegen_outbox_oldest_seconds", "Age of the oldest record that waits for the relay")

log = structlog.get_logger(__name__)


class Relay:
    """Standby until the lease is free; then sends the outbox in id order."""

    def __init__(self, database: Database, relaying: Relaying, reader: TopicReader) -> None:
        self._database = database
        self._relaying = relaying
        self._reader = reader
        self._holder = uuid.uuid4().hex
        self._wake = asyncio.Event()
        self._oldest_seconds = 0.0

    def nudge(self) -> None:
        """There are records to be sent."""
        self._wake.set()

    def problem(self) -> str | None:
        """For readiness: why records have been waiting for long."""
        if self._oldest_seconds < TROUBLED_AFTER_SECONDS:
            return None
        return f"records have been waiting to be sent for {self._oldest_seconds:.0f} s"

    async def run(self) -> None:
        """Relays until it is cancelled, waiting out a Kafka or Postgres that is away."""
        pauses = growing_pauses()
        try:
            while True:
                try:
                    await self._relay(TopicMirror(self._reader))
                    pauses = growing_pauses()
                    await asyncio.sleep(STANDBY_SECONDS)
                except Exception as error:
                    if not (isinstance(error, Retryable) or is_retryable(error)):
                        raise
                    pause = next(pauses)
                    log.warning("relay waits", error=f"{type(error).__name__}: {error}", pause_seconds=round(pause, 1))
                    await asyncio.sleep(pause)
                await self._measure()
        finally:
            await asyncio.shield(self._give_back())

    async def _relay(self, mirror: TopicMirror) -> None:
        """Sends for as long as the lease is ours. What is in the outbox goes first; then the topics are read back."""
        loop = asyncio.get_running_loop()
        renew_at, read_back_at = 0.0, 0.0
        while True:
            if loop.time() >= renew_at:
                if not await self._relaying.hold_lease(self._holder, LEASE_SECONDS):
                    return
                renew_at = loop.time() + RENEW_SECONDS
                await self._measure()
            if await self._relaying.send_some():
                continue
            if loop.time() >= read_back_at:
                await send_again(self._database, mirror)
                read_back_at = loop.time() + READ_BACK_SECONDS
                continue
            await self._idle()

    async def _idle(self) -> None:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _measure(self) -> None:
        try:
            records, self._oldest_seconds = await self._relaying.waiting()
        except Exception as error:
            if not is_retryable(error):
                raise
        else:
            WAITING.set(records)
            OLDEST.set(self._oldest_seconds)

    async def _give_back(self) -> None:
        try:
            await self._relaying.end_lease(self._holder)
        except Exception as error:
            if not is_retryable(error):
                raise
            log.info("lease runs out by itself", seconds=LEASE_SECONDS)
