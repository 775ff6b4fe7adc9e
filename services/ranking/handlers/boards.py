"""All boards of this copy in memory: loaded from a snapshot, kept by following the topics (`protocol.md`, rule 17)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol, TypeVar

import structlog

from services.ranking.domain.calendar import EPOCH, LocalDays
from services.ranking.domain.campaign_windows import CampaignFacts
from services.ranking.domain.campaigns import CampaignBoards
from services.ranking.domain.places import UNREAD, Place
from services.ranking.domain.roster import Roster, StoreFacts, StoreIndex
from services.ranking.domain.scores import CampaignScores, ScoreChanges, totals_of
from services.ranking.handlers.counted import CountedChunks
from services.ranking.handlers.counting import Chunk, CountedOutcome, OutcomeCounter, count_records
from services.ranking.store.scores import ScoreRow
from shared.contracts.codec import InvalidEvent, decoder
from shared.contracts.codegen import Batch, BatchState, Campaign, Store
from shared.contracts.sources import SourceGap
from shared.kafka.records import Record
from shared.telemetry import metrics

SNAPSHOT_ROWS: Final = 20_000
LONGEST_AGE_SECONDS: Final = 100 * 365 * 86_400

log = structlog.get_logger(__name__)
APPLIED: Final = metrics.counter("ranking_outcomes_applied_total", "Records of the outcomes topic applied to the boards")

_campaign = decoder(Campaign)
_store = decoder(Store)
_batch = decoder(Batch)


class _Revised(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def revision(self) -> int: ...


Value = TypeVar("Value", bound=_Revised)


class Boards:
    """The campaigns, stores and scores that this copy answers from. Nothing here waits: it is changed between two reads.

    `generation` grows with every refresh: until then, and until midnight, the same question has the same answer.
    `seconds_since_end` tells how long ago the outcomes topic was known to be applied to its end; its follower gives it.
    """

    seconds_since_end: Callable[[], float]

    def __init__(self) -> None:
        self.seconds_since_end = lambda: float("inf")
        self.roster = Roster(StoreIndex())
        self.campaigns: dict[str, CampaignBoards] = {}
        self.stopped: dict[int, SourceGap] = {}
        self.counted = CountedChunks()
        self._places: dict[int, Place] = {}
        self._revisions: dict[tuple[str, str], int] = {}
        self._issued: dict[str, dict[str, Mapping[str, int]]] = {}
        self._waiting: dict[str, list[CountedOutcome]] = {}
        self._early: dict[str, CampaignScores] = {}
        self._changed = asyncio.Event()
        self._refreshed = asyncio.Event()
        self._as_of: datetime | None = None
        self.generation = 0

    async def load(self, places: Mapping[int, Place], rows: AsyncIterator[ScoreRow]) -> None:
        """Takes a snapshot in place of what was counted so far; following has to begin at its places.

        Until the last row is here, reads go on with what there was.
        """
        scores: dict[str, CampaignScores] = {}
        async for (campaign_id, day), found in _grouped(rows):
            numbered = [(self.roster.index.number(row.store_id), row.score) for row in found]
            of_campaign = scores.setdefault(campaign_id, CampaignScores(self.roster.index))
            of_campaign.add_day(day, totals_of(numbered))
        for campaign_id, campaign in self.campaigns.items():
            campaign.replace_scores(scores.pop(campaign_id, CampaignScores(self.roster.index)))
        self._early, self._places, self._waiting = scores, dict(places), {}
        self._changed.set()

    def start_at(self, _topic: str, partition: int, first: int, _end: int) -> int:
        """The offset at which following a partition of the outcomes begins."""
        place = self._places.get(partition, UNREAD)
        return first if place.next_offset is None else place.next_offset

    def place(self, partition: int) -> Place:
        """How far the boards have counted a partition."""
        return self._places.get(partition, UNREAD)

    def local_days(self, campaign_id: str) -> LocalDays | None:
        campaign = self.campaigns.get(campaign_id)
        return None if campaign is None else campaign.local_days

    def count(self, start: Place, records: Sequence[Record]) -> Chunk:
        """What records of an outcomes partition add from a place on; the boards stay as they are. Raises SourceGap."""
        return count_records(start, records, self.local_days, self.roster.index)

    def apply_outcomes(self, partition: int, records: Sequence[Record]) -> None:
        """Counts the next records of a partition; those of campaigns that are not known yet wait for them.

        Where an outcome is missing, the partition stops for good and readiness says so.
        """
        if partition in self.stopped:
            return
        try:
            chunk = self.count(self.place(partition), records)
        except SourceGap as gap:
            log.error("outcomes are missing, the boards stop here", partition=partition, gap=str(gap))
            self._as_of = self.as_of(datetime.now(UTC))
            self.stopped[partition] = gap
            return
        self._places[partition] = chunk.end
        self._add(chunk.changes)
        for outcome in chunk.waiting:
            self._waiting.setdefault(outcome.campaign_id or "", []).append(outcome)
        self.counted.offer(partition, chunk)
        APPLIED.inc(len(records))

    def apply_campaigns(self, _partition: int, records: Sequence[Record]) -> None:
        for record in records:
            campaign = self._read(_campaign, record, "campaign")
            if campaign is not None:
                self._take_campaign(campaign)

    def apply_stores(self, _partition: int, records: Sequence[Record]) -> None:
        for record in records:
            store = self._read(_store, record, "store")
            if store is not None:
                self.roster.put(_facts_of_store(store))
                self._changed.set()

    def apply_batches(self, _partition: int, records: Sequence[Record]) -> None:
        for record in records:
            batch = self._read(_batch, record, "batch")
            if batch is not None:
                self._take_batch(batch)

    @property
    def changed(self) -> bool:
        """Whether something came since the last refresh."""
        return self._changed.is_set()

    async def wait_changed(self, seconds: float) -> None:
        """Returns when something came since the last refresh, or after so many seconds."""
        await _wait(self._changed, seconds)

    async def wait_refreshed(self, seconds: float) -> None:
        """Returns after the next refresh, or after so many seconds."""
        await _wait(self._refreshed, seconds)

    def note_change(self) -> None:
        """Makes the next refresh look again."""
        self._changed.set()

    def refresh(self, now: datetime) -> None:
        """Makes the tables that something changed again."""
        as_of = self._live_as_of(now)
        for campaign in self.campaigns.values():
            campaign.refresh(campaign.today(now))
        self._as_of = as_of
        self.generation += 1
        self._changed.clear()
        told, self._refreshed = self._refreshed, asyncio.Event()
        told.set()

    def as_of(self, now: datetime) -> datetime:
        """The moment up to which the tables hold every outcome that was on the topic."""
        live = self._live_as_of(now)
        return live if not (self.changed or self.stopped) else min(live, self._as_of or live)

    def _live_as_of(self, now: datetime) -> datetime:
        ago = self.seconds_since_end()
        return now - timedelta(seconds=ago) if ago < LONGEST_AGE_SECONDS else self._as_of or EPOCH

    def _take_campaign(self, campaign: Campaign) -> None:
        facts = CampaignFacts(
            id=campaign.id,
            name=campaign.name,
            time_zone=campaign.time_zone,
            starts_at=campaign.starts_at,
            ends_at=campaign.ends_at,
            created_at=campaign.created_at,
        )
        known = self.campaigns.get(campaign.id)
        if known is not None:
            known.update(facts)
        else:
            self._begin(CampaignBoards(facts, self.roster))
        self._changed.set()

    def _begin(self, campaign: CampaignBoards) -> None:
        """Gives a campaign that became known what waited for it."""
        self.campaigns[campaign.facts.id] = campaign
        for batch_id, issued in self._issued.get(campaign.facts.id, {}).items():
            campaign.set_issued(batch_id, issued)
        early = self._early.pop(campaign.facts.id, None)
        if early is not None:
            campaign.replace_scores(early)
        changes = ScoreChanges(self.roster.index)
        counter = OutcomeCounter(changes, self.local_days)
        for outcome in self._waiting.pop(campaign.facts.id, []):
            counter.count(outcome)
        self._add(changes)

    def _take_batch(self, batch: Batch) -> None:
        issued: dict[str, int] = {}
        if batch.state is BatchState.PUBLISHED:
            for allotment in batch.allotments:
                issued[allotment.store_id] = issued.get(allotment.store_id, 0) + allotment.count
        self._issued.setdefault(batch.campaign_id, {})[batch.id] = issued
        campaign = self.campaigns.get(batch.campaign_id)
        if campaign is not None:
            campaign.set_issued(batch.id, issued)
            self._changed.set()

    def _add(self, changes: ScoreChanges) -> None:
        for campaign_id, day, totals in changes.totals():
            self.campaigns[campaign_id].add_day(day, totals)
            self._changed.set()

    def _read(self, decode: Callable[[bytes], Value], record: Record, kind: str) -> Value | None:
        """The record's value, None where it is a tombstone, unreadable or older than what is known."""
        if record.value is None:
            return None
        try:
            value = decode(record.value)
        except InvalidEvent as error:
            log.error("reference record is not readable", kind=kind, offset=record.offset, detail=error.detail)
            return None
        key = (kind, value.id)
        if value.revision < self._revisions.get(key, value.revision):
            return None
        self._revisions[key] = value.revision
        return value


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _grouped(rows: AsyncIterator[ScoreRow]) -> AsyncIterator[tuple[tuple[str, date], list[ScoreRow]]]:
    """Rows that come campaign by campaign and day by day, a list for each day, or several for one of very many stores."""
    found: list[ScoreRow] = []
    async for row in rows:
        if found and ((row.campaign_id, row.day) != (found[0].campaign_id, found[0].day) or len(found) == SNAPSHOT_ROWS):
            yield (found[0].campaign_id, found[0].day), found
            found = []
        found.append(row)
    if found:
        yield (found[0].campaign_id, found[0].day), found


def _facts_of_store(store: Store) -> StoreFacts:
    return StoreFacts(
        id=store.id,
        name=store.name,
        chain=store.chain,
        region=store.region,
        peer_group=store.peer_group,
        shown=not (store.hidden or store.test),
    )
