"""Outcomes folded a second, from the topic into committed rows, next to redemption with one worker in the same run."""

import os
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shared.contracts.codec import encode
from shared.contracts.game_platforms import ReversalReason
from shared.contracts.redemption import Outcome, OutcomeName, Source, public_of, type_of
from shared.contracts.topics import OUTCOMES
from shared.kafka.publishing import Publisher
from shared.kafka.records import NewRecord
from shared.postgres.connections import open_pool
from tests.bench.ranking_load import PARTITIONS, STORES_COUNT
from tests.bench.redemption_stage import measure, send_backlog, services, stage
from tests.integration.reporting.processes import process
from tests.integration.reporting.system import publish_reference
from tests.support.databases import Databases
from tests.support.polling import poll_until
from tests.support.topics import own_topics
from tests.unit.reporting.history import make_history

OUTCOMES_COUNT = int(os.environ.get("COUNTERFOIL_BENCH_OUTCOMES", 240_000))
REDEMPTIONS_COUNT = int(os.environ.get("COUNTERFOIL_BENCH_EVENTS", 80_000))
COUNTED = "SELECT coalesce(sum(accepted + reversed + rejected), 0)::bigint FROM store_totals"
FIRST = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def run() -> dict[str, Any]:
    """Both figures and their ratio. Five thousand stores and more, one outcome in fifty a reversal, one in ten refused."""
    folded = await _folded_a_second()
    async with stage() as world:
        await send_backlog(world, REDEMPTIONS_COUNT)
        with services(world, 1) as processes:
            redeemed = (await measure(world, REDEMPTIONS_COUNT, processes)).rate
    return {
        "outcomes folded a second": round(folded),
        "events redeemed a second, one worker": round(redeemed),
        "times redemption's": round(folded / redeemed, 2),
    }


async def _folded_a_second() -> float:
    databases = Databases(superuser_url=os.environ["COUNTERFOIL_TEST_POSTGRES"])
    url = await databases.make("reporting")
    records = [_outcomes(partition, OUTCOMES_COUNT // PARTITIONS) for partition in range(PARTITIONS)]
    try:
        async with (
            own_topics(os.environ["COUNTERFOIL_TEST_KAFKA"], partitions=PARTITIONS) as kafka,
            Publisher(kafka) as publisher,
            open_pool(url, schema="reporting") as pool,
        ):
            await publish_reference(publisher, make_history(1))
            for partition, outcomes in enumerate(records):
                await publisher.publish_batch(OUTCOMES.name, partition, outcomes)

            async def counted(least: int) -> bool:
                return bool(await pool.fetchval(COUNTED) >= least)

            async with process(kafka, url, ready=False):
                await poll_until(lambda: counted(1), 120, every_seconds=0.02, what="the first fold")
                begun = await pool.fetchval(COUNTED)
                started = time.perf_counter()
                await poll_until(lambda: counted(OUTCOMES_COUNT), 300, every_seconds=0.1, what="all outcomes")
                return float((OUTCOMES_COUNT - begun) / (time.perf_counter() - started))
    finally:
        await databases.drop(url)
        await databases.drop_all()


def _outcomes(partition: int, count: int) -> list[NewRecord]:
    chance, prev, records = random.Random(partition), None, []
    redeemed: list[Outcome] = []
    for number in range(count):
        source = Source(epoch=1, partition=partition, offset=number)
        kind = chance.random()
        outcome = _redeemed(partition, number, chance, source)
        if kind < 0.02 and redeemed:
            outcome = _reversed(chance.choice(redeemed[-1000:]), number, source)
            redeemed.clear()
        elif kind < 0.12:
            outcome = _refused(outcome)
        else:
            redeemed.append(outcome)
        records.append(NewRecord(b"code", encode(msgspec.structs.replace(outcome, prev=prev))))
        prev = source
    return records


def _redeemed(partition: int, number: int, chance: random.Random, source: Source) -> Outcome:
    at = FIRST + timedelta(milliseconds=100 * number)
    return Outcome(
        type=type_of(OutcomeName.REDEEMED),
        event_id=f"zork-{partition}-{number}",
        platform="zork",
        outcome=OutcomeName.REDEEMED,
        public=public_of(OutcomeName.REDEEMED),
        retryable=False,
        retry_after=None,
        redemption_id=f"{partition:04x}{number:028x}",
        duplicate=False,
        serial=number * PARTITIONS + partition,
        code_hint="3VE••••••",
        campaign_id="spring",
        batch_id="b-0",
        store_id=f"s-{chance.randrange(STORES_COUNT // 2):05}",
        store_region="US-CA",
        player_id=f"p-{chance.randrange(400_000)}",
        occurred_at=at,
        received_at=at,
        decided_at=at,
        source=source,
        prev=None,
    )


def _refused(outcome: Outcome) -> Outcome:
    name = OutcomeName.ALREADY_REDEEMED
    return msgspec.structs.replace(outcome, type=type_of(name), outcome=name, public=public_of(name), redemption_id=None)


def _reversed(original: Outcome, number: int, source: Source) -> Outcome:
    name = OutcomeName.REVERSED
    return msgspec.structs.replace(
        original,
        type=type_of(name),
        event_id=f"{original.event_id}-back-{number}",
        outcome=name,
        public=public_of(name),
        source=source,
        reverses=original.event_id,
        reason=ReversalReason.REFUND.value,
        redeemed_occurred_at=original.occurred_at,
    )
