"""Answers as bytes: made once for a version of a table, cut where the answer's own time goes in."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Final

import msgspec

from services.ranking.domain.campaigns import CampaignBoards
from services.ranking.domain.tables import VERSION_BYTES, Table
from services.ranking.handlers.bodies import Leaderboard, PeriodBounds, Standing

_FRESHNESS_OF: Final = b'"as_of":%s,"lag_seconds":0'

Again = Callable[[datetime], tuple[bytes, ...] | None]


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer's bytes for one version, cut where the answer's own time goes in. The version is its ETag."""

    version: str
    before: bytes
    after: bytes

    def parts(self, as_of: datetime, now: datetime) -> tuple[bytes, bytes, bytes]:
        return self.before, freshness(as_of, now), self.after

    def at(self, as_of: datetime, now: datetime) -> bytes:
        return b"".join(self.parts(as_of, now))


def freshness(as_of: datetime, now: datetime) -> bytes:
    """`"as_of":"…","lag_seconds":0.12`"""
    return b'"as_of":%s,"lag_seconds":%.3f' % (msgspec.json.encode(as_of), max(0.0, (now - as_of).total_seconds()))


def render_leaderboard(campaign: CampaignBoards, table: Table, offset: int, limit: int) -> Rendered:
    name = table.name
    adjustments = campaign.adjustments(name.period) if table.certified else []
    version = table.version
    if adjustments:
        version = blake2b(version.encode() + msgspec.json.encode(adjustments), digest_size=VERSION_BYTES).hexdigest()
    body = Leaderboard(
        campaign_id=name.campaign_id,
        window=name.period.window,
        period=bounds_of(table),
        scope=str(name.scope),
        by=name.by,
        as_of=name.starts_at,
        lag_seconds=0,
        version=version,
        total=table.total,
        certified=table.certified,
        rows=table.rows(offset, limit),
        adjustments=adjustments if table.certified else msgspec.UNSET,
    )
    return Rendered(version, *_cut(body, name.starts_at))


def render_standing(table: Table, number: int, around: int, *, best_rank: int | None) -> Rendered:
    name, found = table.name, table.standing(number)
    body = Standing(
        campaign_id=name.campaign_id,
        store_id=found.store_id,
        store_name=found.store_name,
        window=name.period.window,
        period=bounds_of(table),
        scope=str(name.scope),
        by=name.by,
        rank=found.rank,
        position=found.position,
        score=found.score,
        rate=found.rate,
        total=table.total,
        percentile=found.percentile,
        gap_to_next=found.gap_to_next,
        best_rank=best_rank,
        movement=found.movement,
        certified=table.certified,
        rows=table.neighbours(number, around),
        as_of=name.starts_at,
        lag_seconds=0,
        version=table.version,
    )
    before, after = _cut(body, name.starts_at)
    return Rendered(blake2b(before + after, digest_size=VERSION_BYTES).hexdigest(), before, after)


def _cut(body: Leaderboard | Standing, as_of: datetime) -> tuple[bytes, bytes]:
    """The body's bytes before and after its own time."""
    before, after = msgspec.json.encode(body).split(_FRESHNESS_OF % msgspec.json.encode(as_of), 1)
    return before, after


def bounds_of(table: Table) -> PeriodBounds:
    return PeriodBounds(starts_at=table.name.starts_at, ends_at=table.name.ends_at)
