"""Load for the benchmarks of ranking: ten thousand stores, outcomes prepared as bytes, and the service as a real process."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import msgspec

from shared.contracts.codec import encode
from shared.contracts.codegen import Store
from shared.contracts.redemption import Outcome, Source
from shared.contracts.topics import OUTCOMES, STORES
from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from shared.kafka.records import NewRecord
from tests.integration.ranking.processes import copy_of_ranking
from tests.integration.ranking.system import CAMPAIGN, Reader, Topics, redeemed
from tests.support.databases import Databases
from tests.support.topics import own_topics

STORES_COUNT: Final = 10_000
PARTITIONS: Final = 6
REGIONS: Final = 50
CHAINS: Final = 20
PEER_GROUPS: Final = 5


@dataclass(frozen=True)
class Bench:
    """Topics and a database with campaign and stores on them."""

    kafka: KafkaConnection
    database_url: str
    topics: Topics


@asynccontextmanager
async def prepared(stores: int = STORES_COUNT) -> AsyncIterator[Bench]:
    """Topics of six partitions and a database of its own on the servers of the benchmark run."""
    databases = Databases(superuser_url=os.environ["COUNTERFOIL_TEST_POSTGRES"])
    async with own_topics(os.environ["COUNTERFOIL_TEST_KAFKA"], partitions=PARTITIONS) as kafka, Publisher(kafka) as publisher:
        topics = Topics(publisher)
        await topics.tokens()
        await topics.campaign()
        await publisher.send_all(STORES.name, [_store(number) for number in range(stores)])
        for first in range(0, stores, 2_500):
            issued = {f"s-{number:05}": 1_000 for number in range(first, min(first + 2_500, stores))}
            await topics.batch(issued, batch_id=f"b-{first}")
        try:
            yield Bench(kafka, await databases.make("ranking"), topics)
        finally:
            await databases.drop_all()


def outcomes(count: int, *, partition: int, stores: int = STORES_COUNT, first_offset: int = 0) -> list[NewRecord]:
    """Accepted redemptions as redemption would write them, of the last two hours, over the stores at random."""
    chance = random.Random(partition * 1_000_003 + first_offset)
    template = Topics(Publisher(KafkaConnection(bootstrap_servers="")))._outcome(partition, redeemed("s-1"), CAMPAIGN)
    now, found = datetime.now(UTC), []
    for offset in range(first_offset, first_offset + count):
        occurred_at = now - timedelta(seconds=chance.random() * 7_200)
        outcome: Outcome = msgspec.structs.replace(
            template,
            event_id=f"zork-{partition}-{offset}",
            redemption_id=f"{partition}-{offset}-0123456789abcdef",
            store_id=f"s-{chance.randrange(stores):05}",
            occurred_at=occurred_at,
            received_at=occurred_at,
            decided_at=occurred_at,
            source=Source(epoch=1, partition=partition, offset=offset),
            prev=Source(epoch=1, partition=partition, offset=offset - 1) if offset else None,
        )
        found.append(NewRecord(b"3VE3VGT2K", encode(outcome)))
    return found


async def publish(bench: Bench, records: dict[int, list[NewRecord]]) -> None:
    """All partitions at once."""
    publisher = bench.topics.publisher
    async with asyncio.TaskGroup() as group:
        for partition, found in records.items():
            group.create_task(publisher.publish_batch(OUTCOMES.name, partition, found))


@asynccontextmanager
async def service(bench: Bench) -> AsyncIterator[tuple[Reader, asyncio.subprocess.Process]]:
    """`python -m services.ranking`, ready."""
    async with copy_of_ranking(bench.kafka, bench.database_url) as copy:
        yield copy.reader, copy.process


@contextmanager
def stopped(process: asyncio.subprocess.Process) -> Iterator[None]:
    """Halts the process while the block runs, so that a backlog can be laid before it without sharing the machine."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


async def folded(connection: asyncpg.Connection) -> int:
    """Redemptions in the table."""
    return int(await connection.fetchval("SELECT coalesce(sum(redemptions), 0)::bigint FROM scores"))


def _store(number: int) -> NewRecord:
    store = Store(
        revision=1,
        id=f"s-{number:05}",
        name=f"Store {number}",
        chain=f"c-{number % CHAINS}",
        region=f"r-{number % REGIONS}",
        peer_group=f"p-{number % PEER_GROUPS}",
    )
    return NewRecord(store.id.encode(), encode(store))
