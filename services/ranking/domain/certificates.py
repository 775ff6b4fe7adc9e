"""Certified windows: when one is due, what is frozen of it, and the hash that anybody can compute again from its rows.

The hash is SHA-256 over lines of JSON, each ended by a newline, in UTF-8 without blanks. The first line is
`[campaign_id,window,first_day,last_day,time_zone,[[partition,offset],…]]`; then comes a line for each ranked store in the order
of the board: `[position,rank,store_id,store_name,chain,region,peer_group,redemptions,reversals,reached_at,issued]`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Final

import msgspec
import numpy as np

from services.ranking.domain.boards import Counts, Measure, rank_all
from services.ranking.domain.calendar import ONE_DAY, Period, Window, microseconds_of, period_of
from services.ranking.domain.campaigns import CampaignBoards
from services.ranking.domain.kept import Frozen
from services.ranking.domain.roster import Roster, StoreFacts, StoreIndex
from services.ranking.domain.scores import NEVER_US, DayScore

EMPTY_BEFORE: Final = timedelta(days=366)
"""Nothing was redeemed before a campaign was entered; windows of so long before are certified as empty, older ones are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedScore:
    """One store in a certified window: what was known of it and what was counted."""

    facts: StoreFacts
    score: DayScore
    issued: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certified window. `source`: by outcomes partition, the offset before which everything is counted."""

    campaign_id: str
    period: Period
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    source: Mapping[int, int]
    hash: str
    total: int
    certified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedRow:
    """A ranked store of a certified window; what the hash covers."""

    position: int
    rank: int
    certified: CertifiedScore


def windows_due(campaign: CampaignBoards, now: datetime, late: timedelta) -> Iterator[tuple[Period, datetime]]:
    """The windows of a campaign that ended at least `late` ago, each with the moment since when it is due, oldest first."""
    first = _first_day(campaign)
    last = min(campaign.last_day, campaign.today(now))
    due = [(campaign.bounds(period)[1] + late, period) for period in _windows(first, last)]
    if campaign.today(now) > campaign.last_day:
        due.append((campaign.facts.ends_at + late, campaign.whole))
    yield from ((period, moment) for moment, period in sorted(due, key=_by_moment) if moment <= now)


def ranked_rows(scores: Sequence[CertifiedScore]) -> list[CertifiedRow]:
    """The board of the scores, by count."""
    index = StoreIndex()
    frozen = freeze(scores, index)
    board = rank_all(frozen.roster, frozen.counts, Measure.COUNT)
    by_number = {index.number(one.facts.id): one for one in scores}
    return [
        CertifiedRow(position=place, rank=int(rank), certified=by_number[int(number)])
        for place, (number, rank) in enumerate(zip(board.numbers, board.ranks, strict=True), start=1)
    ]


def certificate_hash(
    campaign_id: str, period: Period, time_zone: str, source: Mapping[int, int], rows: Iterable[CertifiedRow]
) -> str:
    """The hexadecimal hash of a certificate, as the module's text says."""
    head = [campaign_id, period.window, period.first_day, period.last_day, time_zone, sorted(source.items())]
    digest = sha256(msgspec.json.encode(head) + b"\n")
    for row in rows:
        digest.update(msgspec.json.encode(_hashed(row)) + b"\n")
    return digest.hexdigest()


def freeze(scores: Sequence[CertifiedScore], index: StoreIndex) -> Frozen:
    """The scores as arrays by the numbers of an index, for making boards of any scope."""
    numbers = [index.number(one.facts.id) for one in scores]
    size = len(index)
    counts = Counts(
        scores=np.zeros(size, dtype=np.int64),
        reached_at_us=np.full(size, NEVER_US, dtype=np.int64),
        issued=np.zeros(size, dtype=np.int64),
    )
    for number, one in zip(numbers, scores, strict=True):
        counts.scores[number] = one.score.redemptions - one.score.reversals
        counts.reached_at_us[number] = microseconds_of(one.score.reached_at)
        counts.issued[number] = one.issued
    return Frozen(roster=Roster(index, (one.facts for one in scores)), counts=counts)


def _first_day(campaign: CampaignBoards) -> date:
    """The campaign's first day, but no more than a year before it was entered, or before its first day with a count."""
    entered = campaign.local_days.day_of(campaign.facts.created_at - EMPTY_BEFORE)
    return max(campaign.first_day, min([entered, *campaign.days_counted[:1]]))


def _windows(first: date, last: date) -> Iterator[Period]:
    day = first
    seen: set[Period] = set()
    while day <= last:
        for window in (Window.DAY, Window.WEEK, Window.MONTH):
            period = period_of(window, day, campaign_first_day=first)
            if period not in seen:
                seen.add(period)
                yield period
        day += ONE_DAY


def _by_moment(due: tuple[datetime, Period]) -> tuple[datetime, date, Window]:
    return due[0], due[1].first_day, due[1].window


def _hashed(row: CertifiedRow) -> list[object]:
    facts, score = row.certified.facts, row.certified.score
    reached_at = score.reached_at.astimezone(UTC)
    counted = [score.redemptions, score.reversals, reached_at, row.certified.issued]
    return [row.position, row.rank, facts.id, facts.name, facts.chain, facts.region, facts.peer_group, *counted]
