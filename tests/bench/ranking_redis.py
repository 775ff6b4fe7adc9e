"""Redis from Debian's package, as the peer of ranking's benchmarks: append-only file, synced every second."""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NotThere

from shared.contracts.topics import OUTCOMES
from shared.kafka import clients
from tests.bench.ranking_load import PARTITIONS, Bench
from tests.integration.ranking.processes import free_port
from tests.support.debian import REDIS, REDIS_BENCHMARK, find_program

BOARD = "board"


@dataclass(frozen=True)
class Peer:
    """A running Redis."""

    port: int
    client: Redis


class StoreOf(msgspec.Struct):
    """As little of an outcome as the peer needs."""

    store_id: str


@asynccontextmanager
async def running_redis() -> AsyncIterator[Peer]:
    """A server of its own in a temporary folder."""
    program, port = find_program(REDIS), free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"port": str(port), "dir": folder, "save": "", "appendonly": "yes", "appendfsync": "everysec"}
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        environment = dict(program.environment) or None
        process = await asyncio.create_subprocess_exec(
            str(program.path), *arguments, "--loglevel", "warning", env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        client = Redis(port=port)
        try:
            while True:
                try:
                    await client.ping()
                    break
                except NotThere:
                    await asyncio.sleep(0.05)
            yield Peer(port, client)
        finally:
            await client.aclose()
            process.terminate()
            await process.wait()


async def one_by_one(bench: Bench, peer: Peer, count: int) -> float:
    """Outcomes a second: `async for` over the topic, one ZINCRBY awaited for each."""
    decode = msgspec.json.Decoder(StoreOf).decode
    consumer = clients.consumer(bench.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        await consume_all(bench, consumer)
        done, started = 0, time.perf_counter()
        async for record in consumer:
            await peer.client.zincrby(BOARD, 1, decode(record.value).store_id)
            done += 1
            if done == count:
                return count / (time.perf_counter() - started)
    finally:
        await consumer.stop()
    return 0.0


async def in_pipelines(bench: Bench, peer: Peer, count: int) -> float:
    """Outcomes a second: batches of the topic, pipelines of 1,000 ZINCRBY."""
    decode = msgspec.json.Decoder(StoreOf).decode
    consumer = clients.consumer(bench.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        await consume_all(bench, consumer)
        done, started = 0, time.perf_counter()
        while done < count:
            for records in (await consumer.getmany(timeout_ms=1_000, max_records=1_000)).values():
                pipeline = peer.client.pipeline(transaction=False)
                for record in records:
                    pipeline.zincrby(BOARD, 1, decode(record.value).store_id)
                await pipeline.execute()
                done += len(records)
        return done / (time.perf_counter() - started)
    finally:
        await consumer.stop()


def benchmark_program(peer: Peer, requests: int) -> float:
    """ZINCRBY a second of `redis-benchmark -P 50`: memory alone, no Kafka, no decoding."""
    program = find_program(REDIS_BENCHMARK)
    command = [str(program.path), "-p", str(peer.port), "-n", str(requests), "-r", "10000", "-P", "50", "-q", "--csv"]
    printed = subprocess.run(
        [*command, "ZINCRBY", BOARD, "1", "s-__rand_int__"],
        check=True,
        capture_output=True,
        text=True,
        env=dict(program.environment) or None,
    ).stdout
    return float(printed.strip().splitlines()[-1].split('","')[1].strip('"'))


async def consume_all(bench: Bench, consumer: AIOKafkaConsumer) -> None:
    """Assigns every partition of the outcomes, from the beginning."""
    name = bench.kafka.physical(OUTCOMES.name)
    consumer.assign([TopicPartition(name, partition) for partition in range(PARTITIONS)])
    await consumer.seek_to_beginning()
