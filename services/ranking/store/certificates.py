"""Certificates and the frozen scores of their windows."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any, Final

import asyncpg

from services.ranking.domain.calendar import Period, Window
from services.ranking.domain.certificates import Certificate, CertifiedScore
from services.ranking.domain.places import Place
from services.ranking.domain.roster import StoreFacts
from services.ranking.domain.scores import DayScore
from services.ranking.store.scores import place_of
from shared.postgres.queries import Queries

QUERIES: Final = Queries.beside(__file__)


class CertifyTransaction:
    """One moment of the tables, on which a window can be certified."""

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy, places: Mapping[int, Place]) -> None:
        self._connection = connection
        self.places = places

    async def read_period_scores(self, campaign_id: str, period: Period) -> dict[str, DayScore]:
        """What was counted of each store; of ALL, on every day."""
        is_all = period.window is Window.ALL
        first, last = (date.min, date.max) if is_all else (period.first_day, period.last_day)
        rows = await self._connection.fetch(QUERIES.read_period_scores, campaign_id, first, last)
        return {row["store_id"]: DayScore(row["redemptions"], row["reversals"], row["reached_at"]) for row in rows}

    async def add_certificate(self, certificate: Certificate, scores: Sequence[CertifiedScore]) -> bool:
        """Certifies the window; False when that was done before."""
        key = _key(certificate.campaign_id, certificate.period)
        added = await self._connection.fetchrow(
            QUERIES.add_certificate,
            *key,
            certificate.time_zone,
            certificate.starts_at,
            certificate.ends_at,
            {str(partition): offset for partition, offset in certificate.source.items()},
            certificate.hash,
            certificate.total,
        )
        if added is None:
            return False
        await self._connection.execute(QUERIES.add_certified_scores, *key, [_as_json(one) for one in scores])
        return True


class CertificateStore:
    """The tables `certificates` and `certified_scores`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def certifying(self) -> AsyncIterator[CertifyTransaction]:
        """A transaction in which places and scores are of one moment."""
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            rows = await connection.fetch(QUERIES.read_places)
            yield CertifyTransaction(connection, {row["partition"]: place_of(row) for row in rows})

    async def read_certificates(self, since: datetime) -> list[Certificate]:
        """Those made since a moment, without their scores."""
        return [_certificate(row) for row in await self._pool.fetch(QUERIES.read_certificates, since)]

    async def read_certified_scores(self, campaign_id: str, period: Period) -> list[CertifiedScore]:
        """The frozen scores of a window, by store id."""
        rows = await self._pool.fetch(QUERIES.read_certified_scores, *_key(campaign_id, period))
        return [_certified_score(row) for row in rows]


def _key(campaign_id: str, period: Period) -> tuple[str, str, date, date]:
    return campaign_id, period.window.value, period.first_day, period.last_day


def _certificate(row: asyncpg.Record) -> Certificate:
    return Certificate(
        campaign_id=row["campaign_id"],
        period=Period(window=Window(row["kind"]), first_day=row["first_day"], last_day=row["last_day"]),
        time_zone=row["time_zone"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        source={int(partition): offset for partition, offset in row["source"].items()},
        hash=row["hash"],
        total=row["total"],
        certified_at=row["certified_at"],
    )


def _certified_score(row: asyncpg.Record) -> CertifiedScore:
    return CertifiedScore(
        facts=StoreFacts(
            id=row["store_id"],
            name=row["store_name"],
            chain=row["chain"],
            region=row["region"],
            peer_group=row["peer_group"],
            shown=row["shown"],
        ),
        score=DayScore(row["redemptions"], row["reversals"], row["reached_at"]),
        issued=row["issued"],
    )


def _as_json(one: CertifiedScore) -> dict[str, Any]:
    return {
        "store_id": one.facts.id,
        "store_name": one.facts.name,
        "chain": one.facts.chain,
        "region": one.facts.region,
        "peer_group": one.facts.peer_group,
        "shown": one.facts.shown,
        "redemptions": one.score.redemptions,
        "reversals": one.score.reversals,
        "reached_at": one.score.reached_at.isoformat(),
        "issued": one.issued,
    }
