"""Telling others of rank changes: `promo.standings.v1`, at most once a second and board."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from services.ranking.domain.boards import Measure
from services.ranking.domain.calendar import Period, Window, microseconds_of, period_before
from services.ranking.domain.campaigns import CampaignBoards
from services.ranking.domain.roster import OVERALL
from services.ranking.domain.tables import Columns, Table
from services.ranking.handlers.boards import Boards
from shared.contracts.codec import encode
from shared.contracts.ranking import Standing
from shared.contracts.topics import STANDINGS
from shared.kafka.publishing import Publisher
from shared.kafka.records import NewRecord

RECORDS_A_SECOND: Final = 2_000
CHUNK_RECORDS: Final = 200
"""A change of all ranks is sent in chunks at this pace, so that nobody who reads a board waits for it."""

SCORES_SECONDS: Final = 30.0
"""A score that grew without a change of place is told this often."""

BoardKey = tuple[str, Period, Measure]


@dataclass(slots=True)
class _Told:
    """What the topic says of a board."""

    table: Table
    columns: Columns


class StandingsPublisher:
    """Publishes what changed on the overall boards of the current and the last windows, by count and by rate.

    Everything is published once after a start, for what the copy before had published is not known.
    """

    def __init__(self, boards: Boards, publisher: Publisher) -> None:
        self._boards = boards
        self._publisher = publisher
        self._told: dict[BoardKey, _Told] = {}
        self._scores_told_at = float("-inf")

    def forget(self) -> None:
        """Begins anew: another copy publishes now."""
        self._told = {}

    async def publish_changes(self) -> None:
        """Publishes what changed since the last call. Raises Retryable; then all of it is published again."""
        now = datetime.now(UTC)
        as_of = self._boards.as_of(now)
        with_scores = time.monotonic() - self._scores_told_at >= SCORES_SECONDS
        shown = {key: table for campaign in self._boards.campaigns.values() for key, table in _tables(campaign, now)}
        told: dict[BoardKey, _Told] = {}
        for key, table in shown.items():
            changed, told[key] = _changes(self._told.get(key), table, with_scores=with_scores)
            await self._send(key, table, changed, told[key].columns, as_of)
        self._told = told
        if with_scores:
            self._scores_told_at = time.monotonic()

    async def _send(self, key: BoardKey, table: Table, numbers: Sequence[int], columns: Columns, as_of: datetime) -> None:
        for first in range(0, len(numbers), CHUNK_RECORDS):
            chunk = numbers[first : first + CHUNK_RECORDS]
            await self._publisher.send_all(STANDINGS.name, [_record(key, table, n, columns, as_of) for n in chunk])
            if len(chunk) == CHUNK_RECORDS:
                await asyncio.sleep(CHUNK_RECORDS / RECORDS_A_SECOND)
        await asyncio.sleep(0)


def _tables(campaign: CampaignBoards, now: datetime) -> Iterator[tuple[BoardKey, Table]]:
    today = campaign.today(now)
    for period in campaign.periods_shown(today):
        last = [] if period.window is Window.ALL else [period_before(period)]
        for one in [period, *last]:
            for by in Measure:
                yield (campaign.facts.id, one, by), campaign.table(one, OVERALL, by, today=today)


def _changes(told: _Told | None, table: Table, *, with_scores: bool) -> tuple[list[int], _Told]:
    """The numbers of the stores to tell of, and what is told then: a score alone counts as told only `with_scores`."""
    if told is not None and told.table is table and not with_scores:
        return [], told
    now = table.columns()
    before = _padded(told.columns, len(now.ranks)) if told is not None else _nothing(len(now.ranks))
    changed = (now.ranks != before.ranks) | (now.positions != before.positions)
    if with_scores:
        changed |= now.scores != before.scores
    scores = np.where(changed, now.scores, before.scores)
    return np.flatnonzero(changed).tolist(), _Told(table, Columns(ranks=now.ranks, positions=now.positions, scores=scores))


def _record(key: BoardKey, table: Table, number: int, columns: Columns, as_of: datetime) -> NewRecord:
    campaign_id, period, by = key
    standing = Standing(
        revision=microseconds_of(as_of),
        campaign_id=campaign_id,
        board=f"{period.window}/{OVERALL}/{by}",
        period=period.first_day.isoformat(),
        store_id=table.store_id(number),
        rank=int(columns.ranks[number]) or None,
        position=int(columns.positions[number]) or None,
        score=table.score(number),
        as_of=as_of,
    )
    return NewRecord(f"{campaign_id}/{standing.board}/{standing.store_id}".encode(), encode(standing))


def _padded(columns: Columns, size: int) -> Columns:
    missing = size - len(columns.ranks)
    ranks, positions, scores = (np.pad(c, (0, missing)) for c in (columns.ranks, columns.positions, columns.scores))
    return Columns(ranks=ranks, positions=positions, scores=scores)


def _nothing(size: int) -> Columns:
    return _padded(Columns(ranks=_NONE, positions=_NONE, scores=_NONE), size)


_NONE: Final = np.zeros(0, dtype=np.int64)
