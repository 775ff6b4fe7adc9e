"""Reference data on its way from the topics to the tables, and the zones of the campaigns that are there already."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import structlog

from services.reporting.store.reference import ReferenceStore
from shared.contracts.codec import InvalidEvent, decoder
from shared.contracts.codegen import Batch, Campaign, Store, Void
from shared.kafka.errors import Retryable
from shared.kafka.pauses import growing_pauses
from shared.kafka.records import Record
from shared.postgres.errors import is_retryable

CAMPAIGN_WAIT_SECONDS: Final = 5.0
WRITE_ROWS: Final = 2_000

log = structlog.get_logger(__name__)
Value = TypeVar("Value", Campaign, Store, Batch)
Event = TypeVar("Event")


class ReferenceKeeper:
    """Takes records of the reference topics at once, and writes them to Postgres as fast as it takes them.

    `apply_*` are called by the topics' follower and must not wait. A campaign counts as known once it is written.
    """

    def __init__(self, store: ReferenceStore) -> None:
        self._store = store
        self._campaigns: dict[str, Campaign] = {}
        self._stores: dict[str, Store] = {}
        self._batches: dict[str, Batch] = {}
        self._voids: list[Void] = []
        self._zones: dict[str, ZoneInfo] = {}
        self._work = asyncio.Event()
        self._known = asyncio.Condition()
        self._decode_campaign = decoder(Campaign)
        self._decode_store = decoder(Store)
        self._decode_batch = decoder(Batch)
        self._decode_void = decoder(Void)

    def apply_campaigns(self, _partition: int, records: Sequence[Record]) -> None:
        self._take_newest(self._campaigns, _decoded(records, self._decode_campaign))

    def apply_stores(self, _partition: int, records: Sequence[Record]) -> None:
        self._take_newest(self._stores, _decoded(records, self._decode_store))

    def apply_batches(self, _partition: int, records: Sequence[Record]) -> None:
        self._take_newest(self._batches, _decoded(records, self._decode_batch))

    def apply_voids(self, _partition: int, records: Sequence[Record]) -> None:
        self._voids += _decoded(records, self._decode_void)
        self._work.set()

    @property
    def waiting(self) -> int:
        """Values that were read and are not written yet."""
        return len(self._campaigns) + len(self._stores) + len(self._batches) + len(self._voids)

    def zone_of(self, campaign_id: str) -> ZoneInfo:
        """The zone of a known campaign; KeyError for others."""
        return self._zones[campaign_id]

    async def wait_for_campaigns(self, ids: Iterable[str]) -> None:
        """Returns when all are known (rule 18). Raises Retryable when that takes too long."""
        wanted = set(ids)
        if wanted <= self._zones.keys():
            return
        try:
            async with asyncio.timeout(CAMPAIGN_WAIT_SECONDS), self._known:
                await self._known.wait_for(lambda: wanted <= self._zones.keys())
        except TimeoutError:
            raise Retryable(f"campaigns are not known yet: {sorted(wanted - self._zones.keys())[:5]}") from None

    async def run(self) -> None:
        """Writes what was read, until it is cancelled. Waits and goes on when Postgres is away."""
        pauses = growing_pauses()
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                while self.waiting:
                    await self._write_some()
            except Exception as error:
                if not is_retryable(error):
                    raise
                pause = next(pauses)
                log.warning("reference data waits for Postgres", error=str(error), pause_seconds=pause)
                self._work.set()
                await asyncio.sleep(pause)
            else:
                pauses = growing_pauses()

    def _take_newest(self, waiting: dict[str, Value], values: Iterable[Value]) -> None:
        for value in values:
            known = waiting.get(value.id)
            if known is None or known.revision <= value.revision:
                waiting[value.id] = value
        self._work.set()

    async def _write_some(self) -> None:
        campaigns, stores = _first(self._campaigns), _first(self._stores)
        batches, voids = _first(self._batches, 50), self._voids[:50]
        if stores:
            await self._store.keep_stores(stores)
            _remove(self._stores, stores)
        if campaigns:
            await self._store.keep_campaigns(campaigns)
            _remove(self._campaigns, campaigns)
            await self._announce(campaigns)
        if batches:
            await self._store.keep_batches(batches)
            _remove(self._batches, batches)
        if voids:
            await self._store.keep_voids(voids)
            del self._voids[: len(voids)]

    async def _announce(self, campaigns: Sequence[Campaign]) -> None:
        async with self._known:
            self._zones.update({campaign.id: ZoneInfo(campaign.time_zone) for campaign in campaigns})
            self._known.notify_all()


def _decoded(records: Sequence[Record], decode: Callable[[bytes], Event]) -> list[Event]:
    values = []
    for record in records:
        if record.value is None:
            continue
        try:
            values.append(decode(record.value))
        except InvalidEvent as error:
            log.error("reference record is not readable", partition=record.partition, offset=record.offset, reason=error.reason)
    return values


def _first(waiting: dict[str, Value], most: int = WRITE_ROWS) -> list[Value]:
    return [value for _, value in zip(range(most), waiting.values(), strict=False)]


def _remove(waiting: dict[str, Value], written: Sequence[Value]) -> None:
    for value in written:
        if waiting.get(value.id) is value:
            del waiting[value.id]
