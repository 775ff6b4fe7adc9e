"""One campaign in memory: its scores and issued codes, and the tables made from them, kept until they are refreshed.

Reading a table that exists costs no sorting; it is as old as the last refresh. One that nobody asked for lately is made when
it is asked for, and from then on refreshed with the others.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import numpy as np

from services.ranking.domain.boards import Board, Counts, Measure, rank_all, ranks_alone, ranks_by_key, within
from services.ranking.domain.calendar import ONE_DAY, Period, Window, period_before
from services.ranking.domain.campaign_windows import CampaignFacts, CampaignWindows
from services.ranking.domain.kept import BestRanks, Frozen, KeptBoard, KeptFrozen, KeptRanks, KeptTable
from services.ranking.domain.roster import OVERALL, Roster, Scope, StoreFacts
from services.ranking.domain.scores import CampaignScores, DayTotals, Integers
from services.ranking.domain.tables import Adjustment, Table, TableName

UNREAD_REFRESHES: Final = 2_400
"""What was not read for this many refreshes (some minutes of changes) is dropped, and made again when it is asked for."""

TableKey = tuple[Period, Scope, Measure]


class CampaignBoards(CampaignWindows):
    """The boards of one campaign, in its windows."""

    def __init__(self, facts: CampaignFacts, roster: Roster) -> None:
        super().__init__(facts)
        self._roster = roster
        self._scores = CampaignScores(roster.index)
        self._issued_by_batch: dict[str, Mapping[str, int]] = {}
        self._replacements = 0
        self._facts_changes = 0
        self._issued_changes = 0
        self._issued_array = np.zeros(0, dtype=np.int64)
        self._issued_of = (-1, -1)
        self._made_of: dict[tuple[Period, date], tuple[Period, Period]] = {}
        self._frozen: dict[Period, KeptFrozen] = {}
        self._refreshes = 0
        self._boards: dict[tuple[Period, Measure], KeptBoard] = {}
        self._ranks: dict[TableKey, KeptRanks] = {}
        self._tables: dict[TableKey, KeptTable] = {}
        self._best = BestRanks()

    def update(self, facts: CampaignFacts) -> None:
        super().update(facts)
        self._facts_changes += 1

    def add_day(self, day: date, totals: DayTotals) -> None:
        self._scores.add_day(day, totals)

    def set_issued(self, batch_id: str, issued_by_store: Mapping[str, int]) -> None:
        """The codes that a published batch gave to each store; nothing for a batch that is not published."""
        for store_id in issued_by_store:
            self._roster.index.number(store_id)
        if self._issued_by_batch.get(batch_id, {}) != issued_by_store:
            self._issued_by_batch[batch_id] = issued_by_store
            self._issued_changes += 1

    def replace_scores(self, scores: CampaignScores) -> None:
        """Takes scores that were counted anew."""
        self._scores = scores
        self._replacements += 1

    def freeze(self, period: Period, frozen: Frozen) -> None:
        """From now on the window answers this, whatever is counted later: what was made of it while it was open is let go."""
        self._frozen[period] = KeptFrozen(frozen, self._refreshes)
        self._boards = {key: kept for key, kept in self._boards.items() if self._key_of_certificate(key[0]) != period}
        for kept_table in self._tables.values():
            kept_table.read_at = min(kept_table.read_at, self._refreshes - 1)

    def is_frozen(self, period: Period) -> bool:
        return self._key_of_certificate(period) in self._frozen

    def certificates_of(self, period: Period, *, today: date) -> Sequence[Period]:
        """The windows whose certificates, where there are any, a table of the period is made from."""
        made_of = self._made_of.get((period, today))
        if made_of is None:
            made_of = (self._key_of_certificate(period), self._key_of_certificate(self._before(period, today)))
            self._made_of[period, today] = made_of
        return made_of

    def adjustments(self, period: Period) -> list[Adjustment]:
        """Of a frozen window, the stores that later outcomes changed, by id; hidden ones are left out."""
        frozen, now = self._frozen[self._key_of_certificate(period)].frozen, self._scores.tally(period)
        missing = len(now.scores) - len(frozen.counts.scores)
        certified = np.concatenate([frozen.counts.scores, np.zeros(max(0, missing), dtype=np.int64)])
        found = []
        for number in np.flatnonzero(certified[: len(now.scores)] != now.scores).tolist():
            known = [facts for roster in (frozen.roster, self._roster) if (facts := roster.get(number)) is not None]
            if any(facts.shown for facts in known):
                score, later = int(certified[number]), int(now.scores[number])
                found.append(
                    Adjustment(
                        store_id=known[0].id,
                        store_name=known[0].name,
                        certified_score=score,
                        score=later,
                        difference=later - score,
                    )
                )
        return sorted(found, key=lambda adjustment: adjustment.store_id)

    def counted_since(self, period: Period) -> int:
        """Grows whenever the period's scores change, frozen or not."""
        return self._replacements + self._scores.changes(period)

    @property
    def best_of(self) -> tuple[int, ...]:
        """Changes whenever the best ranks of past days could."""
        return self._best.stamp

    @property
    def days_counted(self) -> Sequence[date]:
        """The days of which something was counted, in order."""
        return self._scores.days

    def facts_of(self, store_id: str) -> tuple[StoreFacts, int] | None:
        """What is known of a store now, and how many codes of the campaign it was given."""
        found = self._roster.find(store_id)
        return None if found is None else (found[1], int(self._issued()[found[0]]))

    def table(self, period: Period, scope: Scope, by: Measure, *, today: date) -> Table:
        """The table as of the last refresh. Overall boards exist then; a scope's is cut out of it by the first who reads it."""
        key = (period, scope, by)
        kept = self._tables.get(key)
        if kept is not None and kept.read_at == self._refreshes:
            return kept.table
        board, previous = self._board(period, by), self._previous(self._before(period, today), scope, by)
        if kept is None or not kept.is_made_of(board, previous, self._facts_changes):
            table = self._make(key, board, previous)
            kept = KeptTable(table=table, board=board, previous=previous, facts=self._facts_changes, read_at=0)
            self._tables[key] = kept
        kept.read_at = self._refreshes
        return kept.table

    def refresh(self, today: date) -> None:
        """Makes every kept board again that something changed, and drops what nobody reads."""
        self._refreshes += 1
        self._made_of.clear()
        for period in self.periods_shown(today):
            for by in Measure:
                self._board(period, by)
                self._previous(self._before(period, today), OVERALL, by)
        oldest = self._refreshes - UNREAD_REFRESHES
        self._boards = {key: kept for key, kept in self._boards.items() if kept.read_at >= oldest}
        self._ranks = {key: ranks for key, ranks in self._ranks.items() if ranks.read_at >= oldest}
        self._tables = {key: kept_table for key, kept_table in self._tables.items() if kept_table.read_at >= oldest}
        self._frozen = {key: frozen for key, frozen in self._frozen.items() if frozen.read_at >= oldest}
        for (period, by), kept in self._boards.items():
            stamp = self._stamp(period)
            if kept.stamp != stamp:
                kept.stamp, kept.board = stamp, rank_all(*self._source(period), by)
        self._refresh_best(today)

    def best_rank(self, number: int, *, today: date) -> int | None:
        """The store's best final daily rank on the all-time board, today's included."""
        if not self._best.stamp:
            self._refresh_best(today)
        table = self.table(self.period(Window.ALL, None, today=today), OVERALL, Measure.COUNT, today=today)
        past = int(self._best.ranks[number]) if number < len(self._best.ranks) else 0
        found = [rank for rank in (past or None, table.standing(number).rank) if rank is not None]
        return min(found, default=None)

    def history(self, number: int, *, today: date) -> list[tuple[date, int | None, int]]:
        """The store's rank and score on the all-time board at the end of each day with a count, the last one as of now."""
        shown, found = self._roster.members(OVERALL), []
        for day, scores in self._scores.ends_of_days(before=date.max):
            if day <= today and number < len(scores):
                score = int(scores[number])
                ranked = number < len(shown) and bool(shown[number]) and score > 0
                rank = 1 + int(np.count_nonzero(shown[: len(scores)] & (scores > score))) if ranked else None
                found.append((day, rank, score))
        return found

    def _board(self, period: Period, by: Measure) -> Board:
        kept = self._boards.get((period, by))
        if kept is None:
            board = rank_all(*self._source(period), by)
            kept = self._boards[period, by] = KeptBoard(self._stamp(period), board, 0)
        kept.read_at = self._refreshes
        return kept.board

    def _previous(self, period: Period, scope: Scope, by: Measure) -> Integers:
        stamp, kept = self._stamp(period), self._ranks.get((period, scope, by))
        if kept is None or kept.stamp != stamp:
            ranks = ranks_alone(*self._source(period), by, scope)
            kept = self._ranks[period, scope, by] = KeptRanks(stamp, ranks, 0)
        kept.read_at = self._refreshes
        return kept.ranks

    def _make(self, key: TableKey, overall: Board, previous: Integers) -> Table:
        period, scope, by = key
        roster, counts = self._source(period)
        starts_at, ends_at = self.bounds(period)
        name = TableName(campaign_id=self.facts.id, period=period, starts_at=starts_at, ends_at=ends_at, scope=scope, by=by)
        return Table(
            name,
            roster=roster,
            known=self._roster,
            counts=counts,
            board=within(overall, roster, scope),
            previous=previous,
            certified=self.is_frozen(period),
        )

    def _source(self, period: Period) -> tuple[Roster, Counts]:
        kept = self._frozen.get(self._key_of_certificate(period))
        if kept is not None:
            kept.read_at = self._refreshes
            return kept.frozen.roster, kept.frozen.counts
        tally = self._scores.tally(period)
        counts = Counts(scores=tally.scores, reached_at_us=tally.reached_at_us, issued=self._issued())
        return self._roster, counts

    def _before(self, period: Period, today: date) -> Period:
        if period.window is Window.ALL and period.last_day == date.max:
            return Period(window=Window.ALL, first_day=period.first_day, last_day=today - ONE_DAY)
        return period_before(period)

    def _key_of_certificate(self, period: Period) -> Period:
        return self.whole if period.window is Window.ALL and period.last_day == date.max else period

    def _stamp(self, period: Period) -> tuple[int, ...]:
        """Changes whenever a board of the period could."""
        kept = self._frozen.get(self._key_of_certificate(period))
        if kept is not None:
            kept.read_at = self._refreshes
            return (kept.frozen.roster.generation,)
        changes = (self._replacements, self._scores.changes(period), self._issued_changes)
        return (*changes, self._roster.generation, len(self._roster.index))

    def _issued(self) -> Integers:
        index, stamp = self._roster.index, (self._issued_changes, len(self._roster.index))
        if self._issued_of != stamp:
            issued = np.zeros(len(index), dtype=np.int64)
            for by_store in self._issued_by_batch.values():
                for store_id, count in by_store.items():
                    issued[index.number(store_id)] += count
            self._issued_array, self._issued_of = issued, stamp
        return self._issued_array

    def _refresh_best(self, today: date) -> None:
        yesterday = Period(window=Window.ALL, first_day=date.min, last_day=today - ONE_DAY)
        stamp = (self._replacements, self._scores.changes(yesterday), self._roster.generation, today.toordinal())
        if stamp == self._best.stamp:
            return
        best = np.zeros(len(self._roster.index), dtype=np.int64)
        shown = self._roster.members(OVERALL)
        for _, scores in self._scores.ends_of_days(before=today):
            ranked = np.flatnonzero(shown[: len(scores)] & (scores > 0))
            ranks = ranks_by_key(ranked, scores[ranked], stores=len(best))
            best = np.where((best == 0) | ((ranks > 0) & (ranks < best)), ranks, best)
        self._best = BestRanks(stamp, best)
