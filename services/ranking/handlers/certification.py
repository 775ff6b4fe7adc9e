"""Closing windows: when nothing late can reach one any more, it is frozen, once (`protocol.md`, rule 19)."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import structlog

from services.ranking.domain.calendar import EPOCH, Period, microseconds_of
from services.ranking.domain.campaigns import CampaignBoards
from services.ranking.domain.certificates import (
    Certificate,
    CertifiedScore,
    certificate_hash,
    freeze,
    ranked_rows,
    windows_due,
)
from services.ranking.domain.places import Place
from services.ranking.domain.roster import StoreFacts
from services.ranking.domain.scores import DayScore
from services.ranking.handlers.boards import Boards
from services.ranking.store.certificates import CertificateStore
from shared.contracts.topics import OUTCOMES, REDEMPTION_GROUP, REQUESTS

LATE_COMMITS: Final = timedelta(minutes=2)
"""A certificate is looked for this long before the newest known one: its transaction may have ended later than it began."""

log = structlog.get_logger(__name__)

CertificateKey = tuple[str, Period]


class Log(Protocol):
    """What certification asks Kafka; `shared.kafka.inspecting.LogInspector`."""

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]: ...
    async def offsets_for_time(self, topic: str, milliseconds: int) -> Mapping[int, int]: ...
    async def ends(self, topic: str) -> Mapping[int, int]: ...
    async def committed(self, group: str, topic: str) -> Mapping[int, int]: ...


class Certificates:
    """The certificates that this copy knows, and the frozen tables that its boards have of them."""

    def __init__(self, store: CertificateStore, boards: Boards) -> None:
        self._store = store
        self._boards = boards
        self._known: dict[CertificateKey, Certificate] = {}
        self._newest = EPOCH

    def of_campaign(self, campaign_id: str) -> list[Certificate]:
        """All of a campaign, newest window first."""
        found = [certificate for (campaign, _), certificate in self._known.items() if campaign == campaign_id]
        return sorted(found, key=lambda certificate: (certificate.ends_at, certificate.period.first_day), reverse=True)

    def find(self, campaign_id: str, period: Period) -> Certificate | None:
        return self._known.get((campaign_id, period))

    async def learn(self) -> None:
        """Looks for certificates that were made since the last time, and freezes the windows of the boards that are shown."""
        for certificate in await self._store.read_certificates(self._newest - LATE_COMMITS):
            if (certificate.campaign_id, certificate.period) not in self._known:
                self._boards.note_change()
            self._known[certificate.campaign_id, certificate.period] = certificate
            self._newest = max(self._newest, certificate.certified_at)
        now = datetime.now(UTC)
        for campaign in list(self._boards.campaigns.values()):
            for period in campaign.periods_shown(campaign.today(now)):
                await self.prepare(campaign, period, now)

    async def prepare(self, campaign: CampaignBoards, period: Period, now: datetime) -> None:
        """Freezes what a table of the period is made from, where that is certified and not frozen yet."""
        for wanted in campaign.certificates_of(period, today=campaign.today(now)):
            if (campaign.facts.id, wanted) in self._known and not campaign.is_frozen(wanted):
                scores = await self._store.read_certified_scores(campaign.facts.id, wanted)
                campaign.freeze(wanted, freeze(scores, self._boards.roster.index))
                self._boards.note_change()


class Certifier:
    """Certifies the windows that are due."""

    def __init__(
        self, store: CertificateStore, boards: Boards, certificates: Certificates, log_of: Log, *, late: timedelta
    ) -> None:
        self._store = store
        self._boards = boards
        self._certificates = certificates
        self._log = log_of
        self._late = late

    async def certify_due(self, now: datetime) -> int:
        """Certifies every window that is due and complete, and returns how many. Those that are not wait for the next time."""
        certified = 0
        for campaign in list(self._boards.campaigns.values()):
            complete: Mapping[int, int] | None = None
            for period, moment in reversed(list(self._open_windows(campaign, now))):
                if complete is None:
                    complete = await self._complete_at(moment)
                if complete is not None:
                    certified += await self._certify(campaign, period, complete)
        return certified

    def _open_windows(self, campaign: CampaignBoards, now: datetime) -> Iterator[tuple[Period, datetime]]:
        for period, moment in windows_due(campaign, now, self._late):
            if self._certificates.find(campaign.facts.id, period) is None:
                yield period, moment

    async def _complete_at(self, moment: datetime) -> Mapping[int, int] | None:
        """The outcomes' ends that hold the answer to every request of before the moment, None while one may be missing.

        What is complete for a moment is so for every earlier one, with the same ends.
        """
        wanted = await self._log.offsets_for_time(REQUESTS.name, microseconds_of(moment) // 1_000)
        committed = await self._log.committed(REDEMPTION_GROUP, REQUESTS.name)
        for partition, offset in wanted.items():
            if committed.get(partition, -1) < offset and offset > (await self._log.bounds(REQUESTS.name, partition))[0]:
                log.info("certification waits for redemption", partition=partition, offset=offset)
                return None
        return await self._log.ends(OUTCOMES.name)

    async def _certify(self, campaign: CampaignBoards, period: Period, ends: Mapping[int, int]) -> bool:
        async with self._store.certifying() as transaction:
            if not _is_past(transaction.places, ends):
                log.info("certification waits for the fold", campaign_id=campaign.facts.id)
                return False
            counted = await transaction.read_period_scores(campaign.facts.id, period)
            scores = [_certified(campaign, store_id, score) for store_id, score in counted.items()]
            certificate = _certificate(campaign, period, transaction.places, scores)
            added = await transaction.add_certificate(certificate, scores)
        log.info("window certified", campaign_id=campaign.facts.id, window=period.window, first_day=str(period.first_day))
        return added


def _is_past(places: Mapping[int, Place], ends: Mapping[int, int]) -> bool:
    reached = {partition: place.next_offset or 0 for partition, place in places.items()}
    return all(reached.get(partition, 0) >= end for partition, end in ends.items())


def _certified(campaign: CampaignBoards, store_id: str, score: DayScore) -> CertifiedScore:
    found = campaign.facts_of(store_id)
    facts, issued = found if found is not None else (StoreFacts(id=store_id, name=store_id, shown=False), 0)
    return CertifiedScore(facts=facts, score=score, issued=issued)


def _certificate(
    campaign: CampaignBoards, period: Period, places: Mapping[int, Place], scores: list[CertifiedScore]
) -> Certificate:
    source = {partition: place.next_offset for partition, place in places.items() if place.next_offset is not None}
    rows = ranked_rows(scores)
    starts_at, ends_at = campaign.bounds(period)
    time_zone = campaign.facts.time_zone
    return Certificate(
        campaign_id=campaign.facts.id,
        period=period,
        time_zone=time_zone,
        starts_at=starts_at,
        ends_at=ends_at,
        source=source,
        hash=certificate_hash(campaign.facts.id, period, time_zone, source, rows),
        total=len(rows),
        certified_at=datetime.now(UTC),
    )
