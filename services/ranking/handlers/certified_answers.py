"""Answers about certified windows."""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from services.ranking.domain.calendar import Window
from services.ranking.domain.campaigns import CampaignBoards
from services.ranking.domain.certificates import Certificate, CertifiedRow, ranked_rows
from services.ranking.domain.tables import Adjustment
from services.ranking.handlers.answers import UnknownName, refuse_outside
from services.ranking.handlers.boards import Boards
from services.ranking.handlers.bodies import PeriodBounds
from services.ranking.handlers.certification import Certificates
from services.ranking.store.certificates import CertificateStore
from shared.contracts.game_platforms import Moment

LocalDate = date


class SourceRange(msgspec.Struct, frozen=True, kw_only=True):
    """Of an outcomes partition, the offset before which everything is counted."""

    partition: int
    offset: int


class CertificateSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A certified window; `date` is its first day, as the routes take it."""

    campaign_id: str
    window: Window
    date: LocalDate
    period: PeriodBounds
    certified_at: Moment
    hash: str
    total: int


class FrozenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A ranked store, as the hash covers it."""

    position: int
    rank: int
    store_id: str
    store_name: str
    chain: str | None
    region: str | None
    peer_group: str | None
    score: int
    redemptions: int
    reversals: int
    reached_at: Moment
    issued: int


class CertifiedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate: the frozen table, the hash over it and its source, and what changed since."""

    campaign_id: str
    window: Window
    date: LocalDate
    last_date: LocalDate
    time_zone: str
    period: PeriodBounds
    certified_at: Moment
    hash: str
    total: int
    source: Sequence[SourceRange]
    rows: Sequence[FrozenRow]
    adjustments: Sequence[Adjustment]
    as_of: Moment


class CertificateList(msgspec.Struct, frozen=True, kw_only=True):
    items: Sequence[CertificateSummary]
    next_cursor: str | None


class CertifiedAnswers:
    """Reads of certificates. Raises UnknownName and WrongValue."""

    def __init__(self, boards: Boards, certificates: Certificates, store: CertificateStore) -> None:
        self._boards = boards
        self._certificates = certificates
        self._store = store

    def listed(self, campaign_id: str, *, after: int, limit: int) -> CertificateList:
        """A campaign's certificates, newest window first, from a place of that list on."""
        self._campaign(campaign_id)
        found = self._certificates.of_campaign(campaign_id)
        more = str(after + limit) if len(found) > after + limit else None
        return CertificateList(items=[_summary(one) for one in found[after : after + limit]], next_cursor=more)

    async def window(self, campaign_id: str, window: Window, day: date | None, now: datetime) -> CertifiedWindow:
        """The certificate of the window that holds the day; without one, of the last that is certified."""
        campaign = self._campaign(campaign_id)
        refuse_outside(campaign, window, day, today=campaign.today(now))
        certificate = self._find(campaign, window, day)
        if certificate is None:
            raise UnknownName("certificate")
        await self._certificates.prepare(campaign, certificate.period, now)
        scores = await self._store.read_certified_scores(campaign_id, certificate.period)
        return CertifiedWindow(
            campaign_id=campaign_id,
            window=window,
            date=certificate.period.first_day,
            last_date=certificate.period.last_day,
            time_zone=certificate.time_zone,
            period=PeriodBounds(starts_at=certificate.starts_at, ends_at=certificate.ends_at),
            certified_at=certificate.certified_at,
            hash=certificate.hash,
            total=certificate.total,
            source=[SourceRange(partition=p, offset=offset) for p, offset in sorted(certificate.source.items())],
            rows=[_frozen(row) for row in ranked_rows(scores)],
            adjustments=campaign.adjustments(certificate.period),
            as_of=self._boards.as_of(now),
        )

    async def prepare(self, campaign_id: str, window: Window, day: date | None, now: datetime) -> None:
        """Makes sure that a table's certificates are at hand; an unknown campaign is left to who asks for the table."""
        campaign = self._boards.campaigns.get(campaign_id)
        if campaign is not None:
            await self._certificates.prepare(campaign, campaign.period(window, day, today=campaign.today(now)), now)

    def _find(self, campaign: CampaignBoards, window: Window, day: date | None) -> Certificate | None:
        for certificate in self._certificates.of_campaign(campaign.facts.id):
            period = certificate.period
            if period.window is window and (day is None or period.first_day <= day <= period.last_day):
                return certificate
        return None

    def _campaign(self, campaign_id: str) -> CampaignBoards:
        campaign = self._boards.campaigns.get(campaign_id)
        if campaign is None:
            raise UnknownName("campaign")
        return campaign


def _summary(certificate: Certificate) -> CertificateSummary:
    return CertificateSummary(
        campaign_id=certificate.campaign_id,
        window=certificate.period.window,
        date=certificate.period.first_day,
        period=PeriodBounds(starts_at=certificate.starts_at, ends_at=certificate.ends_at),
        certified_at=certificate.certified_at,
        hash=certificate.hash,
        total=certificate.total,
    )


def _frozen(row: CertifiedRow) -> FrozenRow:
    facts, score = row.certified.facts, row.certified.score
    return FrozenRow(
        position=row.position,
        rank=row.rank,
        store_id=facts.id,
        store_name=facts.name,
        chain=facts.chain,
        region=facts.region,
        peer_group=facts.peer_group,
        score=score.redemptions - score.reversals,
        redemptions=score.redemptions,
        reversals=score.reversals,
        reached_at=score.reached_at,
        issued=row.certified.issued,
    )
