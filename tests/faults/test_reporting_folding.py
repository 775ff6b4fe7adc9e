"""Reporting killed in the middle, run in several copies, and fed repeats: every outcome counts once."""

from functools import partial

import asyncpg
import psutil

from services.reporting.store.folding import FoldStore
from services.reporting.store.jobs import CareStore
from services.reporting.store.reading import FigureStore
from shared.contracts.topics import OUTCOMES
from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from shared.postgres.connections import open_pool
from tests.faults.proxy import wire_to
from tests.integration.reporting.processes import process
from tests.integration.reporting.system import Database, publish_outcomes, publish_reference, reporting_service
from tests.integration.reporting.test_figures_agree import selection
from tests.support.halting import halted_in_copy
from tests.support.polling import poll_until
from tests.unit.reporting.history import History, make_history
from tests.unit.reporting.recomputation import recompute

COUNTED = "SELECT coalesce(sum(accepted + reversed + rejected), 0)::bigint FROM store_totals WHERE store_id <> ''"


def counted(history: History) -> int:
    return sum(figures.accepted + figures.reversed + figures.rejected for figures in recompute(history).values())


async def agreed(pool: asyncpg.Pool, history: History) -> None:
    """Every store's figures equal the recomputation, and the identity holds."""
    rows = {row["store_id"]: row for row in await FigureStore(pool).performance(selection())}
    for store_id, wanted in recompute(history).items():
        for name in ("accepted", "redeemed", "reversed", "rejected", "unique_players", "void"):
            assert rows[store_id][name] == getattr(wanted, name), (store_id, name)
    assert await CareStore(pool).differences() == []


async def test_a_kill_at_any_instant_loses_and_doubles_nothing(kafka: KafkaConnection, database: Database) -> None:
    history = make_history(31, events=1_500, partitions=2, stores=6)
    url = await database("reporting")
    wanted = counted(history)
    drawing: list[psutil.Process] = []
    async with open_pool(url, schema="reporting") as pool, Publisher(kafka) as publisher:
        await publish_reference(publisher, history)
        for partition, outcomes in enumerate(history.partitions):
            await publish_outcomes(publisher, partition, outcomes)
        for share in (0.1, 0.4):
            async with process(kafka, url, ready=False, REPORTING_FOLD_RECORDS="7") as (_, victim):
                await poll_until(partial(some_counted, pool, share * wanted), 60, every_seconds=0.005, what="some folding")
                drawing += victim.children(recursive=True)
                victim.kill()
        assert await pool.fetchval(COUNTED) <= wanted
        async with process(kafka, url, ready=False):
            await poll_until(lambda: all_counted(pool, history), 60, what="all outcomes")
        await agreed(pool, history)
    assert drawing
    await poll_until(partial(all_gone, drawing), 20, what="the end of the drawing processes")


async def test_copies_and_repeats_count_once(kafka: KafkaConnection, database: Database) -> None:
    history = make_history(77, events=600, partitions=2, stores=6)
    url = await database("reporting")
    more = {"REPORTING_FOLD_RECORDS": "11", "REPORTING_TIMER": "false"}
    async with open_pool(url, schema="reporting") as pool, Publisher(kafka) as publisher:
        await publish_reference(publisher, history)
        async with reporting_service(kafka, url, **more) as first:
            for partition, outcomes in enumerate(history.partitions):
                await publish_outcomes(publisher, partition, outcomes[:100])
            async with reporting_service(kafka, url, **more):
                for partition, outcomes in enumerate(history.partitions):
                    await publish_outcomes(publisher, partition, outcomes[60:200])
                    await publish_outcomes(publisher, partition, outcomes[10:150])
                    await publish_outcomes(publisher, partition, outcomes[100:])
            await first.wait_for(sum(figures.accepted for figures in recompute(history).values()))
            await poll_until(lambda: all_counted(pool, history), what="all outcomes")
        await agreed(pool, history)


async def test_a_halted_copy_that_thinks_it_is_the_owner_does_no_harm(kafka: KafkaConnection, database: Database) -> None:
    history = make_history(13, events=900, partitions=2, stores=6)
    url, small = await database("reporting"), {"REPORTING_FOLD_RECORDS": "9"}
    async with open_pool(url, schema="reporting") as pool, Publisher(kafka) as publisher:
        await publish_reference(publisher, history)
        for partition, outcomes in enumerate(history.partitions):
            await publish_outcomes(publisher, partition, outcomes[:-50])
        async with process(kafka, url, ready=False, **small) as (_, zombie):
            await poll_until(lambda: some_counted(pool), 60, every_seconds=0.005, what="some folding")
            zombie.suspend()
            async with process(kafka, url, ready=False, **small):
                await poll_until(lambda: all_folded(pool, history, 50), 60, what="the other copy's folding")
                zombie.resume()
                for partition, outcomes in enumerate(history.partitions):
                    await publish_outcomes(publisher, partition, outcomes[-80:])
                await poll_until(lambda: all_counted(pool, history), 60, what="all outcomes")
        await agreed(pool, history)


async def test_a_copy_halted_while_it_sends_rows_holds_the_others_up_for_seconds(
    kafka: KafkaConnection, database: Database
) -> None:
    history = make_history(19, events=200, partitions=1, stores=4)
    url = await database("reporting")
    async with open_pool(url, schema="reporting") as pool, Publisher(kafka) as publisher:
        await FoldStore(pool).place(OUTCOMES.name, 0)
        await publish_reference(publisher, history)
        await publish_outcomes(publisher, 0, history.partitions[0])
        holding = "SELECT FROM places FOR UPDATE; INSERT INTO places (topic, partition) VALUES ('none', 0)"
        async with (
            halted_in_copy(url, schema="reporting", statements=holding, table="ledger"),
            reporting_service(kafka, url, REPORTING_TIMER="false"),
        ):
            await poll_until(lambda: all_counted(pool, history), 60, what="all outcomes")
        await agreed(pool, history)


async def all_folded(pool: asyncpg.Pool, history: History, missing: int) -> bool:
    """Whether every partition was folded up to its outcomes that are not published yet."""
    wanted = [outcomes[-missing - 1].source.offset for outcomes in history.partitions]
    rows = await pool.fetch("SELECT mark_offset FROM places WHERE topic = $1 ORDER BY partition", OUTCOMES.name)
    return [row["mark_offset"] for row in rows] == wanted


async def test_folding_goes_on_exactly_where_postgres_was_cut_off(kafka: KafkaConnection, database: Database) -> None:
    history = make_history(17, events=1_200, partitions=2, stores=6)
    url = await database("reporting")
    async with (
        open_pool(url, schema="reporting") as pool,
        Publisher(kafka) as publisher,
        wire_to(url) as (wire, cut_url),
        reporting_service(kafka, cut_url, REPORTING_FOLD_RECORDS="7", REPORTING_TIMER="false") as service,
    ):
        await publish_reference(publisher, history)
        for partition, outcomes in enumerate(history.partitions):
            await publish_outcomes(publisher, partition, outcomes)
        for share in (0.1, 0.3, 0.5, 0.7):
            least = share * counted(history)
            await poll_until(partial(some_counted, pool, least), 60, every_seconds=0.005, what="some folding")
            wire.cut()
        await poll_until(lambda: all_counted(pool, history), 60, what="all outcomes")
        await agreed(pool, history)
        assert (await service.json("/v1/campaigns/spring/summary"))["campaign_id"] == "spring"


async def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


async def some_counted(pool: asyncpg.Pool, least: float = 1) -> bool:
    return bool(await pool.fetchval(COUNTED) >= least)


async def all_counted(pool: asyncpg.Pool, history: History) -> bool:
    return bool(await pool.fetchval(COUNTED) == counted(history))


async def test_an_outcome_that_is_missing_stops_the_partition_loudly(kafka: KafkaConnection, database: Database) -> None:
    history = make_history(5, events=100, partitions=1)
    url = await database("reporting")
    async with Publisher(kafka) as publisher, reporting_service(kafka, url, REPORTING_TIMER="false") as service:
        await publish_reference(publisher, history)
        outcomes = history.partitions[0]
        await publish_outcomes(publisher, 0, [*outcomes[:20], *outcomes[21:]])

        async def said() -> bool:
            async with service.client.get(f"{service.url}/readyz") as answer:
                return answer.status == 503 and "jobs run" in await answer.text()

        await poll_until(said, what="the reason in /readyz")
