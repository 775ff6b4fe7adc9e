"""Every figure in the tables against a plain recomputation, over random histories, on a real Postgres."""

import asyncio
import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from services.reporting.domain.folding import fold
from services.reporting.domain.periods import day_of, hour_of, local_day
from services.reporting.handlers.downloads import LEDGER_COLUMNS
from services.reporting.store.folding import FoldStore, Place, PlaceMoved
from services.reporting.store.reading import DownloadStore, FigureStore, Selection
from services.reporting.store.reference import ReferenceStore
from shared.contracts.redemption import OutcomeName
from shared.contracts.topics import OUTCOMES
from shared.postgres.connections import open_pool
from tests.integration.reporting.folding import fold_at_random, fold_outcomes, keep_reference
from tests.support.polling import poll_until
from tests.unit.reporting.history import STARTS_AT, ZONE, History, make_history
from tests.unit.reporting.recomputation import recompute

NOW = datetime(2026, 11, 15, 17, 30, tzinfo=UTC)
WAITING = """SELECT EXISTS (SELECT FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
    WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted)"""
PERIODS = [
    (None, None),
    (datetime(2026, 10, 31, 16, 20, 7, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC)),
    (STARTS_AT, STARTS_AT + timedelta(days=10)),
]


@pytest.fixture
async def pool(database: Callable[[str], Awaitable[str]]) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(await database("reporting"), schema="reporting") as opened:
        yield opened


def selection(since: datetime | None = None, until: datetime | None = None, stores: list[str] | None = None) -> Selection:
    return Selection(
        campaign_id="spring",
        since=since,
        until=until,
        stores=stores,
        now=NOW,
        today_began_at=datetime(2026, 11, 15, 5, tzinfo=UTC),
        today=local_day(NOW, ZONE),
    )


async def folded(pool: asyncpg.Pool, seed: int, **shape: Any) -> History:
    history = make_history(seed, **shape)
    reference = ReferenceStore(pool)
    await keep_reference(reference, history)
    await fold_at_random(FoldStore(pool), reference, history, seed)
    return history


@pytest.mark.parametrize("seed", range(12))
async def test_performance_agrees_with_a_recomputation(pool: asyncpg.Pool, seed: int) -> None:
    history = await folded(pool, seed, stores=5, events=160)
    for since, until in PERIODS:
        rows = {row["store_id"]: row for row in await FigureStore(pool).performance(selection(since, until))}
        for store_id, wanted in recompute(history, since, until).items():
            row = rows[store_id]
            for name in wanted.__dataclass_fields__:
                assert row[name] == getattr(wanted, name), (store_id, name, since)
            now = recompute(history)[store_id]
            assert row["issued"] == row["outstanding"] + now.redeemed + row["void"] + row["expired"]


async def test_movement_of_standings_is_against_the_window_before(pool: asyncpg.Pool) -> None:
    rows = [
        ("day/all/count", "2026-11-10", 5), ("day/all/count", "2026-11-12", 3), ("day/all/count", "2026-11-13", 1),
        ("week/all/count", "2026-10-26", 4), ("week/all/count", "2026-11-09", 2), ("week/all/count", "2026-11-16", 1),
        ("month/all/count", "2026-10-01", 2), ("month/all/count", "2026-11-01", 4),
        ("all/all/count", "2026-11-10", 5), ("all/all/count", "2026-11-13", 2),
    ]  # fmt: skip
    await pool.executemany(
        """INSERT INTO standings (campaign_id, board, period, day, store_id, revision, rank, "position", score, as_of)
        VALUES ('spring', $1, $2, $2::text::date, 's-1', 1, $3, $3, 7, now())""",
        rows,
    )
    async with DownloadStore(pool).standings(selection(), first_day=None, end_day=None) as chunks:
        text = b"".join([chunk async for chunk in chunks]).decode()
    moved = {(row[0], row[1]): row[6] for row in csv.reader(io.StringIO(text)) if row[6]}
    assert moved == {
        ("day/all/count", "2026-11-13"): "2",
        ("week/all/count", "2026-11-16"): "1",
        ("month/all/count", "2026-11-01"): "-2",
        ("all/all/count", "2026-11-13"): "3",
    }


@pytest.mark.parametrize("seed", range(3))
async def test_previous_rank_is_of_the_equally_long_period_before(pool: asyncpg.Pool, seed: int) -> None:
    history = await folded(pool, seed)
    since, until = datetime(2026, 11, 5, 3, tzinfo=UTC), datetime(2026, 11, 12, 8, tzinfo=UTC)
    before = recompute(history, since - (until - since), since)
    rows = await FigureStore(pool).performance(selection(since, until))
    assert {r["store_id"]: r["previous_rank"] for r in rows} == {key: f.rank for key, f in before.items()}


async def test_previous_rank_of_ever_is_of_the_end_of_yesterday(pool: asyncpg.Pool) -> None:
    history = await folded(pool, 5)
    before = recompute(history, None, selection().today_began_at)
    rows = await FigureStore(pool).performance(selection())
    assert {r["store_id"]: r["previous_rank"] for r in rows} == {key: f.rank for key, f in before.items()}


async def test_hours_and_days_are_of_the_campaigns_zone(pool: asyncpg.Pool) -> None:
    history = await folded(pool, 3, events=300)
    wanted: Counter[tuple[str, str]] = Counter()
    for outcome in history.outcomes:
        if outcome.duplicate or outcome.campaign_id is None:
            continue
        at = outcome.redeemed_occurred_at if outcome.outcome is OutcomeName.REVERSED else outcome.occurred_at
        assert isinstance(at, datetime)
        kind = {"REDEEMED": "accepted", "REVERSED": "reversed"}.get(outcome.outcome.value, "rejected")
        wanted[day_of(hour_of(at, ZONE)).isoformat(), kind] += 1
    rows = await _rows(DownloadStore(pool).timeseries(selection(), by_day=True))
    found = Counter(
        {
            (day, kind): int(n)
            for day, *counts in rows
            for kind, n in zip(("accepted", "rejected", "reversed"), counts, strict=True)
        }
    )
    assert +found == wanted
    hours = await _rows(DownloadStore(pool).timeseries(selection(), by_day=False))
    assert sum(int(row[1]) for row in hours) == sum(n for (_, kind), n in wanted.items() if kind == "accepted")
    assert {row[0][-6:] for row in hours} == {"-04:00", "-05:00"}


async def test_ledger_has_each_redemption_once_with_its_reversal(pool: asyncpg.Pool) -> None:
    history = await folded(pool, 7, events=400)
    accepted = [o for o in history.outcomes if o.outcome is OutcomeName.REDEEMED and not o.duplicate]
    reversed_ids = {o.redemption_id for o in history.outcomes if o.outcome is OutcomeName.REVERSED}
    rows = [
        dict(zip(LEDGER_COLUMNS, row, strict=True))
        for row in await _rows(DownloadStore(pool).ledger(selection(), hash_players=False, skip_rows=0))
    ]
    in_order = sorted(accepted, key=lambda o: (o.occurred_at, str(o.redemption_id)))
    assert [row["redemption_id"] for row in rows] == [o.redemption_id for o in in_order]
    assert {row["redemption_id"] for row in rows if row["outcome"] == "REVERSED"} == reversed_ids
    skipped = await _rows(DownloadStore(pool).ledger(selection(), hash_players=False, skip_rows=10))
    assert [row[0] for row in skipped] == [row["redemption_id"] for row in rows[10:]]


async def test_rejections_are_counted_with_their_players(pool: asyncpg.Pool) -> None:
    history = await folded(pool, 11, events=300)
    wanted: dict[tuple[str, str, str], list[str | None]] = {}
    for o in history.outcomes:
        if o.campaign_id and not o.duplicate and o.type.value == "redemption.rejected":
            key = (local_day(o.occurred_at, ZONE).isoformat(), o.platform, o.outcome.value)
            wanted.setdefault(key, []).append(o.player_id)
    rows = await _rows(DownloadStore(pool).rejections(selection()))
    assert {(d, p, o): (int(n), int(players)) for d, p, o, n, players in rows} == {
        key: (len(players), len(set(players))) for key, players in wanted.items()
    }


async def test_two_folds_of_the_same_outcomes_count_once(pool: asyncpg.Pool) -> None:
    history = make_history(1, partitions=1)
    await keep_reference(ReferenceStore(pool), history)
    store, outcomes = FoldStore(pool), history.partitions[0]
    results = await asyncio.gather(*[fold_outcomes(store, 0, outcomes) for _ in range(4)], return_exceptions=True)
    assert sum(isinstance(result, PlaceMoved) for result in results) == 3
    assert (await store.place(OUTCOMES.name, 0)).mark == outcomes[-1].source
    rows = {row["store_id"]: row["accepted"] for row in await FigureStore(pool).performance(selection())}
    assert rows == {key: figures.accepted for key, figures in recompute(history).items()}


async def test_a_fold_from_an_old_place_changes_nothing(pool: asyncpg.Pool) -> None:
    history = make_history(2, partitions=1)
    await keep_reference(ReferenceStore(pool), history)
    store = FoldStore(pool)
    old = await store.place(OUTCOMES.name, 0)
    await fold_outcomes(store, 0, history.partitions[0])
    folded_again = fold(history.partitions[0], lambda _: ZONE)
    with pytest.raises(PlaceMoved):
        await store.fold(OUTCOMES.name, 0, expected=old, after=Place(next_offset=1, mark=None), folded=folded_again)


async def test_folds_of_all_partitions_at_once_add_up(pool: asyncpg.Pool) -> None:
    history = make_history(4, partitions=6, events=600)
    await keep_reference(ReferenceStore(pool), history)
    store = FoldStore(pool)
    await asyncio.gather(*[fold_outcomes(store, n, outcomes) for n, outcomes in enumerate(history.partitions)])
    await ReferenceStore(pool).keep_voids(history.voids)
    rows = {row["store_id"]: row for row in await FigureStore(pool).performance(selection())}
    for store_id, wanted in recompute(history).items():
        assert (rows[store_id]["redeemed"], rows[store_id]["unique_players"], rows[store_id]["void"]) == (
            wanted.redeemed,
            wanted.unique_players,
            wanted.void,
        )


async def test_a_void_that_comes_in_the_middle_of_a_fold_counts_what_the_fold_redeems(pool: asyncpg.Pool) -> None:
    """The first void of all commits while a fold waits for it: neither sees the other's rows at its start."""
    history = make_history(1, partitions=1)
    await keep_reference(ReferenceStore(pool), history)
    store, outcomes = FoldStore(pool), history.partitions[0]
    redeemed = next(o for o in outcomes if o.outcome is OutcomeName.REDEEMED)
    async with pool.acquire() as connection:
        void = connection.transaction()
        await void.start()
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('reporting.voids'))")
        folding = asyncio.create_task(fold_outcomes(store, 0, [redeemed]))
        await poll_until(lambda: pool.fetchval(WAITING), what="the fold that waits for the void")
        await connection.execute(
            """INSERT INTO void_ranges (first_serial, last_serial, void_id, voided_at, batch_id, store_id, codes)
            VALUES ($1, $1, 'v', now(), $2, $3, 1)""",
            redeemed.serial,
            redeemed.batch_id,
            redeemed.store_id,
        )
        await void.commit()
        await folding
    assert await pool.fetchval("SELECT sum(redeemed_in_void) FROM store_totals") == 1


async def _rows(download: Any) -> list[list[str]]:
    async with download as chunks:
        text = b"".join([chunk async for chunk in chunks]).decode()
    return list(csv.reader(io.StringIO(text)))
