"""Whether the tables have every batch that was announced. After a back-up was put back they have not, until `batch adopt`.

Serials that were reserved on tables that are behind would be given away twice, so none is before this is known.
"""

import asyncio
from typing import Final

import structlog

from services.codegen.domain.refusals import Conflict
from services.codegen.handlers.relaying import TopicReader
from services.codegen.store.database import Database
from shared.contracts.topics import BATCHES
from shared.kafka.errors import Retryable
from shared.kafka.pauses import growing_pauses
from shared.postgres.errors import is_retryable

LOOK_SECONDS: Final = 2.0
NOT_READ: Final = "the batches' topic has not been read since the start"
BEHIND: Final = (
    "the batches' topic has {count} batches that the tables have not ({first} for one): a back-up was put back, or this is "
    "another's database. `counterfoil batch adopt` takes them over; until then no serial is given away"
)

log = structlog.get_logger(__name__)


class Completeness:
    """Looks until it is so. Nothing can make the tables fall behind later: they are put back while no copy runs."""

    def __init__(self, database: Database, reader: TopicReader) -> None:
        self._database = database
        self._reader = reader
        self._problem: str | None = NOT_READ

    def problem(self) -> str | None:
        """For readiness."""
        return self._problem

    def assure(self) -> None:
        """Raises Conflict where the tables are behind, Retryable while that is not known."""
        if self._problem == NOT_READ:
            raise Retryable(NOT_READ)
        if self._problem is not None:
            raise Conflict(self._problem)

    async def run(self) -> None:
        """Looks until the tables are complete, waiting out a Kafka or Postgres that is away."""
        pauses = growing_pauses()
        while self._problem is not None:
            try:
                await self.look()
            except Exception as error:
                if not (isinstance(error, Retryable) or is_retryable(error)):
                    raise
                await asyncio.sleep(next(pauses))
            else:
                await asyncio.sleep(LOOK_SECONDS if self._problem else 0)

    async def look(self) -> None:
        """Compares once. The topic first: what is announced meanwhile is in the tables already."""
        announced = await self._announced()
        async with self._database.reading() as session:
            missing = sorted(announced - await session.batches.ids_of(sorted(announced)))
        if missing and self._problem == NOT_READ:
            log.error("tables are behind the batches' topic", batches=len(missing), first=missing[0])
        self._problem = BEHIND.format(count=len(missing), first=missing[0]) if missing else None

    async def _announced(self) -> set[str]:
        return {
            record.key.decode()
            for partition in range(await self._reader.partitions(BATCHES.name))
            async for record in self._reader.read(BATCHES.name, partition, 0)
            if record.key is not None and record.value is not None
        }
