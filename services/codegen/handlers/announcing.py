"""Telling the other services: records into the outbox, within the transaction of what they tell (rule 21).

Who asks again for what is stored already waits for the records of the first time: its answer may have been that Kafka is
away.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from services.codegen.domain.batches import LOADED, BatchRow, event_of
from services.codegen.domain.refusals import NotYet
from services.codegen.store.database import Database, Session
from services.codegen.store.outbox import NewRecord
from shared.contracts.codec import encode
from shared.contracts.codegen import Campaign, Store, Token, Void
from shared.contracts.topics import BATCHES, CAMPAIGNS, STORES, TOKENS, VOIDS

FIRST_LOOK_SECONDS: Final = 0.005
LONGEST_LOOK_SECONDS: Final = 0.1


class Announcements:
    """Waits until records that were committed to the outbox are acknowledged by Kafka."""

    def __init__(self, database: Database, *, nudge: Callable[[], None], timeout_seconds: float) -> None:
        self._database = database
        self._nudge = nudge
        self._timeout_seconds = timeout_seconds

    def hurry(self) -> None:
        """Lets the relay of this process look at once, without waiting for it."""
        self._nudge()

    async def wait(self, ids: Sequence[int]) -> None:
        """Returns when Kafka has them all. Raises NotYet when it takes none for the time; they will be sent later."""
        if not ids:
            return
        self._nudge()
        pause, left = FIRST_LOOK_SECONDS, len(ids)
        try:
            async with asyncio.timeout(self._timeout_seconds) as limit:
                while waiting := await self._waiting(ids):
                    if waiting < left:
                        left = waiting
                        limit.reschedule(asyncio.get_running_loop().time() + self._timeout_seconds)
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, LONGEST_LOOK_SECONDS)
        except TimeoutError:
            raise NotYet("It is stored, and takes effect as soon as Kafka is back") from None

    async def wait_topic(self, topic: str) -> None:
        """Returns when Kafka has everything of a topic that was committed until now. Raises NotYet as `wait` does."""
        async with self._database.reading() as session:
            ids = await session.outbox.outbox_of_topic(topic)
        await self.wait(ids)

    async def _waiting(self, ids: Sequence[int]) -> int:
        async with self._database.reading() as session:
            return await session.outbox.outbox_waiting(ids)


def campaign_record(campaign: Campaign) -> NewRecord:
    return NewRecord(topic=CAMPAIGNS.name, key=campaign.id, event="campaign.changed", value=encode(campaign))


def store_record(store: Store) -> NewRecord:
    return NewRecord(topic=STORES.name, key=store.id, event="store.changed", value=encode(store))


def token_record(token: Token) -> NewRecord:
    return NewRecord(topic=TOKENS.name, key=token.id, event="token.changed", value=encode(token))


def void_record(void: Void) -> NewRecord:
    return NewRecord(topic=VOIDS.name, key=void.id, event="codes.voided", value=encode(void))


async def batch_record(session: Session, batch: BatchRow) -> NewRecord:
    """Allotments are final, and sent, once the batch is ready."""
    allotments = await session.batches.final_allotments(batch.number) if batch.state in LOADED else ()
    return NewRecord(
        topic=BATCHES.name, key=batch.id, event=f"batch.{batch.state.value}", value=encode(event_of(batch, allotments))
    )


async def announce_batch(session: Session, batch: BatchRow) -> list[int]:
    """Puts the batch, as it is now, into the outbox."""
    return await session.outbox.insert_outbox([await batch_record(session, batch)])
