"""What triggers keep up (hours of batches, players of campaigns) against a plain recomputation, after every fold."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from services.reporting.domain.folding import fold
from services.reporting.store.folding import FoldStore, Place, PlaceMoved
from services.reporting.store.jobs import CareStore
from services.reporting.store.reading import FigureStore
from services.reporting.store.rebuild import RebuildStore
from services.reporting.store.reference import ReferenceStore
from shared.contracts.codegen import BatchState
from shared.contracts.redemption import Outcome, OutcomeName
from shared.contracts.topics import OUTCOMES
from shared.postgres.connections import open_pool
from tests.integration.reporting.folding import fold_outcomes, keep_reference
from tests.integration.reporting.test_figures_agree import selection
from tests.unit.reporting.history import ENDS_AT, STARTS_AT, ZONE, History, make_history

SEEDS = range(8)
DAY = timedelta(days=1)


@pytest.fixture
async def pool(database: Callable[[str], Awaitable[str]]) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(await database("reporting"), schema="reporting") as opened:
        yield opened


def published_at_random(seed: int, **shape: Any) -> History:
    """A history whose batches were published at any microsecond, one of them after some of its codes were redeemed."""
    history, chance = make_history(seed, **shape), random.Random(seed)
    history.batches = [
        msgspec.structs.replace(batch, published_at=STARTS_AT + timedelta(microseconds=chance.randrange(n * 10**12 + 10**11)))
        if batch.state is BatchState.PUBLISHED
        else batch
        for n, batch in enumerate(history.batches)
    ]
    return history


def waited(
    history: History, outcomes: Sequence[Outcome], since: datetime | None, until: datetime | None, stores: list[str] | None
) -> dict[int, int]:
    """Whole days from publication to redemption, one outcome at a time. A reversal takes its redemption's day down."""
    published = {batch.id: batch.published_at for batch in history.batches}
    days: Counter[int] = Counter()
    for outcome in outcomes:
        is_reversal = outcome.outcome is OutcomeName.REVERSED
        if outcome.duplicate or not (is_reversal or outcome.outcome is OutcomeName.REDEEMED):
            continue
        at, began = outcome.redeemed_occurred_at if is_reversal else outcome.occurred_at, published[str(outcome.batch_id)]
        assert isinstance(at, datetime)
        assert began is not None
        if (since is None or at >= since) and (until is None or at < until) and (stores is None or outcome.store_id in stores):
            days[max(0, (at - began) // DAY)] += -1 if is_reversal else 1
    return {day: n for day, n in days.items() if n > 0}


def holders(outcomes: Sequence[Outcome], stores: list[str] | None = None) -> int:
    """Players who hold a redemption, by playing every outcome."""
    held: Counter[tuple[str | None, tuple[str, str | None]]] = Counter()
    for outcome in outcomes:
        change = {OutcomeName.REDEEMED: 1, OutcomeName.REVERSED: -1}.get(outcome.outcome, 0)
        if not outcome.duplicate and (stores is None or outcome.store_id in stores):
            held[outcome.store_id, (outcome.platform, outcome.player_id)] += change
    return len({player for (_, player), redemptions in held.items() if redemptions > 0})


def moment(chance: random.Random) -> datetime:
    """Any microsecond of the campaign; now and then one on the hour."""
    at = STARTS_AT + timedelta(microseconds=chance.randrange((ENDS_AT - STARTS_AT) // timedelta(microseconds=1)))
    return at.replace(minute=0, second=0, microsecond=0) if chance.random() < 0.3 else at


@pytest.mark.parametrize("seed", SEEDS)
async def test_days_to_redeem_agree_at_any_moment_of_publication_and_in_any_period(pool: asyncpg.Pool, seed: int) -> None:
    history, chance = published_at_random(seed, stores=4, events=400), random.Random(seed)
    await keep_reference(ReferenceStore(pool), history)
    await fold_in_portions(pool, history, chance)
    for _ in range(12):
        since, until = sorted([moment(chance), moment(chance)])
        stores = chance.choice([None, None, [store.id for store in history.stores[:2]]])
        for first, end in ((None, None), (since, until + timedelta(microseconds=1))):
            rows = await FigureStore(pool).days_to_redeem(selection(first, end, stores=stores))
            found = {row["days"]: row["redeemed"] for row in rows}
            assert found == waited(history, history.outcomes, first, end, stores), (first, end, stores)


@pytest.mark.parametrize("seed", SEEDS)
async def test_players_agree_after_every_fold_and_however_much_is_merged(pool: asyncpg.Pool, seed: int) -> None:
    history, chance = make_history(seed, stores=4, events=400), random.Random(seed)
    await keep_reference(ReferenceStore(pool), history)
    some = [store.id for store in history.stores[:2]]

    async def agree(read: list[Outcome]) -> None:
        if chance.random() < 0.5:
            await CareStore(pool).merge_players(chance.randint(1, 9))
        for stores in (None, some):
            summary = await FigureStore(pool).summary(selection(stores=stores))
            assert summary["unique_players"] == holders(read, stores)

    await fold_in_portions(pool, history, chance, agree)
    await CareStore(pool).merge_players(100_000)
    assert await pool.fetchval("SELECT count(*) FROM player_changes") == 0
    assert (await FigureStore(pool).summary(selection()))["unique_players"] == holders(history.outcomes)
    assert await CareStore(pool).differences() == []


async def test_merging_while_partitions_are_folded_at_once_loses_and_doubles_nobody(pool: asyncpg.Pool) -> None:
    history = make_history(3, stores=4, events=1_500, partitions=6)
    await keep_reference(ReferenceStore(pool), history)
    store, care = FoldStore(pool), CareStore(pool)

    async def fold_all(partition: int, outcomes: list[Outcome]) -> None:
        for start in range(0, len(outcomes), 7):
            await fold_outcomes(store, partition, outcomes[start : start + 7])

    async def keep_merging() -> None:
        while True:
            await care.merge_players(5)

    merging = [asyncio.create_task(keep_merging()) for _ in range(3)]
    try:
        await asyncio.gather(*[fold_all(n, outcomes) for n, outcomes in enumerate(history.partitions)])
    finally:
        for task in merging:
            task.cancel()
        await asyncio.gather(*merging, return_exceptions=True)
    assert (await FigureStore(pool).summary(selection()))["unique_players"] == holders(history.outcomes)
    assert await care.differences() == []


async def test_a_replay_from_an_old_place_changes_neither_hours_nor_players(pool: asyncpg.Pool) -> None:
    history = make_history(2, partitions=1)
    await keep_reference(ReferenceStore(pool), history)
    store, outcomes = FoldStore(pool), history.partitions[0]
    old = await store.place(OUTCOMES.name, 0)
    await fold_outcomes(store, 0, outcomes)
    for _ in range(3):
        with suppress(PlaceMoved):
            folded = fold(outcomes, lambda _: ZONE)
            await store.fold(OUTCOMES.name, 0, expected=old, after=Place(next_offset=1, mark=None), folded=folded)
    rows = await FigureStore(pool).days_to_redeem(selection())
    assert {row["days"]: row["redeemed"] for row in rows} == waited(history, outcomes, None, None, None)
    assert (await FigureStore(pool).summary(selection()))["unique_players"] == holders(outcomes)


async def test_a_rebuild_counts_hours_and_players_anew(pool: asyncpg.Pool) -> None:
    history = published_at_random(6, stores=4, events=400)
    await keep_reference(ReferenceStore(pool), history)
    await fold_in_portions(pool, history, random.Random(6))
    await CareStore(pool).merge_players(40)
    await pool.execute("UPDATE batch_hours SET redeemed = redeemed + 1")
    await pool.execute("UPDATE player_counts SET players = players + 5")
    assert {difference.what for difference in await CareStore(pool).differences()} == {
        "redeemed by hour of the batch",
        "players",
    }
    rebuild = RebuildStore(pool)
    async with rebuild.begun() as shadow:
        for partition, outcomes in enumerate(history.partitions):
            await fold_outcomes(shadow, partition, outcomes)
        await rebuild.finish()
    assert await CareStore(pool).differences() == []
    rows = await FigureStore(pool).days_to_redeem(selection())
    assert {row["days"]: row["redeemed"] for row in rows} == waited(history, history.outcomes, None, None, None)
    assert (await FigureStore(pool).summary(selection()))["unique_players"] == holders(history.outcomes)


async def test_months_that_were_detached_are_left_out_of_days_to_redeem_as_a_whole(pool: asyncpg.Pool) -> None:
    history = published_at_random(4, stores=4, events=400)
    await keep_reference(ReferenceStore(pool), history)
    await fold_in_portions(pool, history, random.Random(4))
    await CareStore(pool).detach_months_before(datetime(2026, 11, 1, tzinfo=UTC))
    rows = await FigureStore(pool).days_to_redeem(selection())
    november = datetime(2026, 11, 1, tzinfo=UTC)
    assert {row["days"]: row["redeemed"] for row in rows} == waited(history, history.outcomes, november, None, None)


async def fold_in_portions(
    pool: asyncpg.Pool,
    history: History,
    chance: random.Random,
    after_each: Callable[[list[Outcome]], Awaitable[None]] | None = None,
) -> None:
    """Folds all partitions in portions at random, and tells after each what was folded so far."""
    store, left, read = FoldStore(pool), [list(outcomes) for outcomes in history.partitions], list[Outcome]()
    while any(left):
        partition = chance.choice([number for number, outcomes in enumerate(left) if outcomes])
        size = chance.randint(1, 40)
        portion, left[partition] = left[partition][:size], left[partition][size:]
        await fold_outcomes(store, partition, portion)
        read += portion
        if after_each is not None:
            await after_each(read)


async def test_a_campaign_that_came_after_the_last_analyze_is_not_read_for_each_of_its_notes(pool: asyncpg.Pool) -> None:
    """Hundred thousand players and some thousand notes, as of a demo that is played twice, took longer than any answer may."""
    fill = "INSERT INTO campaign_players SELECT $1, 'zork', 'p-' || n, 1 FROM generate_series(1, 5_000) AS n"
    async with pool.acquire() as connection:
        await connection.execute(fill, "known")
        await connection.execute("ANALYZE campaign_players, player_changes")
        async with connection.transaction():
            await connection.execute(fill, "new")
            await connection.execute(
                "INSERT INTO player_changes SELECT 'new', 'zork', 'p-' || n, -1 FROM generate_series(1, 500) AS n"
            )
            before = await _rows_read(connection)
            assert await connection.fetchval("SELECT players_of('new')") == -500
            assert await _rows_read(connection) - before <= 1_000


async def _rows_read(connection: asyncpg.pool.PoolConnectionProxy) -> int:
    """Rows of campaign_players that the transaction has read, by an index or without."""
    return int(
        await connection.fetchval(
            "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
            " WHERE relid = 'campaign_players'::regclass"
        )
    )
