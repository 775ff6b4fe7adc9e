"""Boards in memory say what a plain recomputation from all events says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ranking.domain.boards import Measure
from services.ranking.domain.calendar import Window, microseconds_of
from services.ranking.domain.campaign_windows import CampaignFacts
from services.ranking.domain.campaigns import CampaignBoards
from services.ranking.domain.certificates import freeze
from services.ranking.domain.roster import Roster, StoreFacts, StoreIndex, parse_scope
from services.ranking.domain.scores import ScoreChanges
from services.ranking.domain.tables import Table
from tests.unit.ranking.plain import Counted, PlainCampaign, PlainStore, gap, stores_of, window_days

STARTS_AT = datetime(2026, 10, 25, 4, tzinfo=UTC)
ENDS_AT = datetime(2026, 12, 1, 5, tzinfo=UTC)
NOW = datetime(2026, 11, 4, 15, tzinfo=UTC)
TODAY = date(2026, 11, 4)
STORES = [
    PlainStore(id="s-1", name="Main Street", chain="playtime", region="US-NY"),
    PlainStore(id="s-2", name="Ωmega", chain="playtime", region="US-CA", peer_group="mall"),
    PlainStore(id="s-3", name="متجر", chain="arcade", region="US-NY", peer_group="mall"),
    PlainStore(id="s-10", name="Tenth", region="US-CA"),
    PlainStore(id="s-hidden", name="Hidden", region="US-NY", shown=False),
]
ISSUED = {"s-1": 100, "s-2": 250, "s-3": 100, "s-10": 99, "s-hidden": 500}
SCOPES = ("all", "region:US-NY", "region:US-CA", "chain:playtime", "peer:mall")


@dataclass
class Both:
    """The same campaign twice: as boards, and as a list of events."""

    boards: CampaignBoards
    plain: PlainCampaign

    def add(self, events: Sequence[Counted]) -> None:
        self.plain.events += events
        changes = ScoreChanges(self.boards._roster.index)
        for event in events:
            day = changes.day("spring", self.boards.local_days.day_of(event.counted_at))
            numbers, moments = (day.reversed, day.reversed_at_us) if event.is_reversal else (day.redeemed, day.redeemed_at_us)
            numbers.append(changes.index.number(event.store_id))
            moments.append(microseconds_of(event.occurred_at))
        for _, added_day, totals in changes.totals():
            self.boards.add_day(added_day, totals)

    def table(self, window: str, day: date | None = None, scope: str = "all", by: str = "count") -> Table:
        period = self.boards.period(Window(window), day, today=TODAY)
        return self.boards.table(period, parse_scope(scope), Measure(by), today=TODAY)

    def number(self, store_id: str) -> int:
        found = self.boards._roster.find(store_id)
        assert found is not None
        return found[0]


def both(stores: Sequence[PlainStore] = STORES) -> Both:
    roster = Roster(StoreIndex())
    for store in stores:
        roster.put(
            StoreFacts(
                id=store.id,
                name=store.name,
                chain=store.chain,
                region=store.region,
                peer_group=store.peer_group,
                shown=store.shown,
            )
        )
    facts = CampaignFacts(
        id="spring",
        name="Spring",
        time_zone="America/New_York",
        starts_at=STARTS_AT,
        ends_at=ENDS_AT,
        created_at=STARTS_AT,
    )
    boards = CampaignBoards(facts, roster)
    boards.set_issued("b-1", ISSUED)
    return Both(boards, PlainCampaign(time_zone="America/New_York", stores=stores, issued=ISSUED))


def redemption(store_id: str, occurred_at: datetime) -> Counted:
    return Counted(store_id=store_id, occurred_at=occurred_at, counted_at=occurred_at)


def redemptions(**counts: int) -> list[Counted]:
    """So many of each store today, a minute apart; underscores stand for dashes."""
    return [
        redemption(store.replace("_", "-"), NOW - timedelta(hours=2) + timedelta(minutes=minute))
        for store, count in counts.items()
        for minute in range(count)
    ]


minutes = st.integers(0, 10 * 24 * 4).map(lambda quarter: STARTS_AT + timedelta(minutes=15 * quarter))


@st.composite
def counted(draw: st.DrawFn) -> Counted:
    store_id = draw(st.sampled_from([store.id for store in STORES]))
    counted_at = draw(minutes)
    if draw(st.integers(0, 3)):
        return redemption(store_id, counted_at)
    return Counted(store_id=store_id, occurred_at=draw(minutes), counted_at=counted_at, is_reversal=True)


@settings(deadline=None, max_examples=60)
@given(
    chunks=st.lists(st.lists(counted(), max_size=25), max_size=5),
    days=st.lists(st.integers(0, 10).map(lambda n: date(2026, 10, 25) + timedelta(days=n)), min_size=1, max_size=2),
)
def test_every_board_is_what_a_recomputation_gives(chunks: list[list[Counted]], days: list[date]) -> None:
    case = both()
    for chunk in chunks:
        case.add(chunk)
        case.table("day", days[0])
        case.boards.refresh(TODAY)
    for day in days:
        for window in ("day", "week", "month", "all"):
            for scope in SCOPES:
                for by in ("count", "rate"):
                    check_table(case, window, min(day, TODAY), scope, by)


def check_table(case: Both, window: str, day: date, scope: str, by: str) -> None:
    table = case.table(window, day, scope, by)
    first, last = window_days(window, day)
    if window == "all" and day == TODAY:
        last = date.max
    expected = case.plain.board(first, last, scope, by)
    shown = [msgspec.to_builtins(row) for row in table.rows(0, 100)]
    for row, plain_row in zip(shown, expected, strict=True):
        assert {name: row[name] for name in plain_row if name != "key"} == {n: v for n, v in plain_row.items() if n != "key"}
    check_movement(case, window, day, scope, by, shown)
    check_standings(case, table, expected, by)


def check_movement(case: Both, window: str, day: date, scope: str, by: str, shown: list[dict[str, Any]]) -> None:
    first, _ = window_days(window, day)
    before = window_days(window, (day if window == "all" else first) - timedelta(days=1))
    earlier = case.plain.ranks(*before, scope, by)
    for row in shown:
        previous = earlier.get(row["store_id"])
        change = None if previous is None else previous - row["rank"]
        assert row["movement"] == {"from": previous, "change": change}


def check_standings(case: Both, table: Table, expected: list[dict[str, Any]], by: str) -> None:
    for store in STORES:
        standing = table.standing(case.number(store.id))
        row = next((row for row in expected if row["store_id"] == store.id), None)
        assert (standing.rank, standing.position) == ((row["rank"], row["position"]) if row else (None, None))
        if row is not None:
            assert standing.percentile == 100 * (len(expected) - row["rank"] + 1) / len(expected)
            assert standing.gap_to_next == gap(expected, store.id, row["score"], ISSUED[store.id], by)


@settings(deadline=None, max_examples=40)
@given(chunks=st.lists(st.lists(counted(), max_size=30), max_size=4))
def test_the_best_rank_ever_is_found(chunks: list[list[Counted]]) -> None:
    case = both()
    for chunk in chunks:
        case.add(chunk)
        case.boards.refresh(TODAY)
    for store in STORES:
        assert case.boards.best_rank(case.number(store.id), today=TODAY) == case.plain.best_rank(store.id, TODAY)


@settings(deadline=None, max_examples=40)
@given(events=st.lists(counted(), max_size=40), data=st.data())
def test_the_order_of_arrival_changes_nothing(events: list[Counted], data: st.DataObject) -> None:
    one, other = both(), both(list(reversed(STORES)))
    one.add(events)
    for event in data.draw(st.permutations(events)):
        other.add([event])
    for window in ("day", "week", "month", "all"):
        for by in ("count", "rate"):
            assert (
                one.table(window, scope="region:US-NY", by=by).version
                == other.table(window, scope="region:US-NY", by=by).version
            )
            assert one.table(window, by=by).rows(0, 100) == other.table(window, by=by).rows(0, 100)


def test_equal_scores_share_a_rank_and_the_next_one_is_skipped() -> None:
    case = both()
    case.add(redemptions(s_1=3, s_2=2, s_3=2, s_10=1))
    assert [row.rank for row in case.table("day").rows(0, 10)] == [1, 2, 2, 4]


def test_who_reached_a_score_first_stands_above() -> None:
    case = both()
    case.add([redemption("s-1", NOW), redemption("s-2", NOW - timedelta(seconds=1))])
    assert stores_of(map(msgspec.to_builtins, case.table("day").rows(0, 10))) == ["s-2", "s-1"]


def test_a_reversal_counts_where_its_redemption_did_and_moves_reached_at() -> None:
    case = both()
    yesterday = NOW - timedelta(days=1)
    case.add([redemption("s-1", yesterday), redemption("s-1", yesterday), redemption("s-2", yesterday + timedelta(hours=1))])
    case.add([Counted(store_id="s-1", occurred_at=NOW, counted_at=yesterday, is_reversal=True)])
    table = case.table("day", TODAY - timedelta(days=1))
    assert [(row.store_id, row.score) for row in table.rows(0, 10)] == [("s-2", 1), ("s-1", 1)]
    assert case.table("day").total == 0


def test_more_reversals_than_redemptions_leave_a_store_unranked() -> None:
    case = both()
    case.add([Counted(store_id="s-1", occurred_at=NOW, counted_at=NOW, is_reversal=True)])
    assert case.table("day").total == 0
    assert case.table("day").standing(case.number("s-1")).gap_to_next == 2


@pytest.mark.parametrize(
    ("store", "around", "expected"),
    [
        ("s-1", 1, ["s-1", "s-2", "s-3"]),
        ("s-2", 1, ["s-1", "s-2", "s-3"]),
        ("s-10", 1, ["s-2", "s-3", "s-10"]),
        ("s-10", 0, ["s-10"]),
        ("s-3", 9, ["s-1", "s-2", "s-3", "s-10"]),
        ("s-hidden", 1, ["s-2", "s-3", "s-10"]),
    ],
)
def test_neighbours_cut_off_at_one_end_are_added_at_the_other(store: str, around: int, expected: list[str]) -> None:
    case = both()
    case.add(redemptions(s_1=4, s_2=3, s_3=2, s_10=1, s_hidden=9))
    assert [row.store_id for row in case.table("day").neighbours(case.number(store), around)] == expected


def test_a_store_that_becomes_hidden_leaves_the_board_at_the_next_refresh() -> None:
    case = both()
    case.add(redemptions(s_1=4, s_2=3))
    first = case.table("day").version
    case.boards._roster.put(StoreFacts(id="s-1", name="Main Street", shown=False))
    case.boards.refresh(TODAY)
    assert [row.store_id for row in case.table("day").rows(0, 10)] == ["s-2"]
    assert case.table("day").version != first


def test_a_new_name_is_a_new_version() -> None:
    case = both()
    case.add(redemptions(s_1=4))
    first = case.table("day").version
    case.boards._roster.put(StoreFacts(id="s-1", name="Side Street", chain="playtime", region="US-NY"))
    case.boards.refresh(TODAY)
    assert case.table("day").version != first


def test_a_table_that_was_handed_out_does_not_change_under_its_reader() -> None:
    case = both()
    case.add(redemptions(s_1=4, s_2=3))
    table = case.table("day")
    before = table.rows(0, 10)
    case.add(redemptions(s_2=30))
    assert table.rows(0, 10) == before


def test_a_certificate_counts_from_the_next_answer_on() -> None:
    case = both()
    yesterday = TODAY - timedelta(days=1)
    case.add([redemption("s-1", NOW - timedelta(days=1)), *redemptions(s_1=1, s_2=2)])
    case.boards.refresh(TODAY)
    assert [row.movement.previous_rank for row in case.table("day").rows(0, 10)] == [None, 1]
    assert not case.table("day", yesterday).certified
    case.boards.freeze(case.boards.period(Window.DAY, yesterday, today=TODAY), freeze([], case.boards._roster.index))
    assert [row.movement.previous_rank for row in case.table("day").rows(0, 10)] == [None, None]
    assert (case.table("day", yesterday).certified, case.table("day", yesterday).total) == (True, 0)


def test_all_time_up_to_a_past_day_leaves_out_what_came_after() -> None:
    case = both()
    case.add([redemption("s-1", NOW - timedelta(days=2)), redemption("s-2", NOW), redemption("s-2", NOW)])
    assert [row.store_id for row in case.table("all", TODAY - timedelta(days=1)).rows(0, 10)] == ["s-1"]
    assert [row.store_id for row in case.table("all").rows(0, 10)] == ["s-2", "s-1"]


def test_a_window_without_a_date_is_the_last_one_once_the_campaign_is_over() -> None:
    case = both()
    assert case.boards.period(Window.DAY, None, today=date(2027, 3, 1)).first_day == date(2026, 11, 30)
    assert case.boards.period(Window.DAY, None, today=TODAY).first_day == TODAY
