"""What redemption is measured next to: programs that someone could reasonably have written first. Run as processes.

`python -m tests.bench.redemption_peers plain|sensible|ruled|copied` with KAFKA_BOOTSTRAP_SERVERS, KAFKA_TOPIC_PREFIX and
DATABASE_URL. `ruled` needs its codes in a table (`fill_codes`).
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from services.redemption.domain.places import StoredOutcome, StoredOutcomes
from services.redemption.handlers.outbox import publish_outcomes
from shared.contracts.game_platforms import parse_request
from shared.contracts.redemption import Outcome, Source
from shared.environment import kafka_connection
from shared.kafka.publishing import Publisher

TABLE = """
CREATE TABLE IF NOT EXISTS plain_redemptions (
    code text PRIMARY KEY, platform text NOT NULL, event_id text NOT NULL, player_id text NOT NULL,
    redeemed_at timestamptz NOT NULL DEFAULT now(), UNIQUE (platform, event_id)
)
"""
INSERT = "INSERT INTO plain_redemptions (code, platform, event_id, player_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
WINNERS = "SELECT code, event_id FROM plain_redemptions WHERE code = ANY ($1)"


RULED_TABLES = """
CREATE TABLE IF NOT EXISTS plain_codes (code text PRIMARY KEY, campaign_id text NOT NULL, store_id text NOT NULL);
CREATE TABLE IF NOT EXISTS plain_players (player_id text PRIMARY KEY, redeemed integer NOT NULL)
"""
READ_CODES = "SELECT code, campaign_id, store_id FROM plain_codes WHERE code = ANY ($1)"
READ_TAKEN = "SELECT code, event_id FROM plain_redemptions WHERE code = ANY ($1)"
READ_PLAYERS = "SELECT player_id, redeemed FROM plain_players WHERE player_id = ANY ($1)"
COUNT_PLAYER = """
INSERT INTO plain_players AS p (player_id, redeemed) VALUES ($1, $2)
ON CONFLICT (player_id) DO UPDATE SET redeemed = p.redeemed + excluded.redeemed
"""
MOST_A_PLAYER = 3

_json = msgspec.json.Encoder()
COPIED = msgspec.json.decode(
    b"""{"type": "redemption.accepted", "event_id": "", "platform": "zork", "outcome": "REDEEMED", "public": "REDEEMED",
    "retryable": false, "retry_after": null, "redemption_id": "33330000-0000-8000-a000-000000000000", "duplicate": false,
    "serial": 51234, "code_hint": "3VE??????", "campaign_id": "spring", "batch_id": "b-1", "store_id": "s-1",
    "store_region": "US-CA", "player_id": "player-zork-1-0-1", "occurred_at": "2026-11-30T00:00:00Z",
    "received_at": "2026-11-30T00:00:00Z", "decided_at": "2026-11-30T00:00:00Z",
    "source": {"epoch": 1, "partition": 0, "offset": 0}, "prev": {"epoch": 1, "partition": 0, "offset": 0}}""",
    type=Outcome,
)


async def plain(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, ledger: Any, topic: str) -> None:
    """One record, one INSERT, one send, one commit."""
    async for record in consumer:
        request = orjson.loads(record.value)
        done = await ledger.execute(INSERT, request["code"], request["platform"], request["event_id"], request["player_id"])
        await producer.send_and_wait(topic, _outcome(request, done), key=record.key, partition=record.partition)
        await consumer.commit()


async def sensible(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, ledger: Any, topic: str) -> None:
    """`getmany`, one `executemany`, a `send` for each record, one commit a batch.

    `executemany` does not tell which rows were taken, so the events that have won are asked for afterwards. No limits, no
    windows, no guessing, no reversals; who dies between the database's commit and the last send has lost outcomes.
    """
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=500, max_records=2_000)).items():
            requests = [orjson.loads(record.value) for record in records]
            async with ledger.transaction():
                await ledger.executemany(INSERT, [(r["code"], r["platform"], r["event_id"], r["player_id"]) for r in requests])
                won = await ledger.fetch(WINNERS, [r["code"] for r in requests])
            winners = {(row["code"], row["event_id"]) for row in won}
            sent = [
                await producer.send(topic, _outcome(request, _done(request, winners)), key=record.key, partition=tp.partition)
                for record, request in zip(records, requests, strict=True)
            ]
            await asyncio.gather(*sent)
            await consumer.commit({tp: records[-1].offset + 1})


async def ruled(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, ledger: Any, topic: str) -> None:
    """As `sensible`, with some of the rules that its users would ask for next: unknown codes, taken ones, a limit per player.

    Still without windows, pauses, voids, guessing, reversals, and safe ends; two processes may break the limit together.
    """
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=500, max_records=2_000)).items():
            requests = [orjson.loads(record.value) for record in records]
            async with ledger.transaction():
                outcomes = await _decide(ledger, requests)
            sent = [
                await producer.send(topic, outcome, key=record.key, partition=tp.partition)
                for record, outcome in zip(records, outcomes, strict=True)
            ]
            await asyncio.gather(*sent)
            await consumer.commit({tp: records[-1].offset + 1})


async def _decide(ledger: Any, requests: Sequence[dict[str, Any]]) -> list[bytes]:
    codes = [request["code"] for request in requests]
    issued = {row["code"]: row for row in await ledger.fetch(READ_CODES, codes)}
    taken = {row["code"]: row["event_id"] for row in await ledger.fetch(READ_TAKEN, codes)}
    counts = Counter(
        {r["player_id"]: r["redeemed"] for r in await ledger.fetch(READ_PLAYERS, [q["player_id"] for q in requests])}
    )
    rows, added, outcomes = [], Counter[str](), []
    for request in requests:
        code, event, player = request["code"], request["event_id"], request["player_id"]
        name, about = "REDEEMED", issued.get(code)
        if about is None:
            name = "UNKNOWN_CODE"
        elif code in taken:
            name = "REDEEMED" if taken[code] == event else "ALREADY_REDEEMED"
        elif counts[player] >= MOST_A_PLAYER:
            name = "PLAYER_LIMIT_REACHED"
        else:
            taken[code] = event
            counts[player] += 1
            added[player] += 1
            rows.append((code, request["platform"], event, player))
        place = {"campaign_id": about["campaign_id"], "store_id": about["store_id"]} if about else {}
        outcomes.append(orjson.dumps({**request, **place, "outcome": name}))
    await ledger.executemany(INSERT, rows)
    await ledger.executemany(COUNT_PLAYER, sorted(added.items()))
    return outcomes


async def copied(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, ledger: Any, topic: str) -> None:
    """No peer but a bound: read, decoded, an outcome encoded and published by the service's own means, and no more.

    What a loop in Python with these packages cannot pass on a machine, however little its rules and its ledger cost.
    """
    async with Publisher(kafka_connection()) as publisher:
        while True:
            for tp, records in (await consumer.getmany(timeout_ms=500, max_records=2_000)).items():
                stored = StoredOutcomes(
                    epoch=1, partition=tp.partition, decided_at="2026-11-30T00:00:00Z", outcomes=[_copy(r) for r in records]
                )
                await publish_outcomes(publisher, stored)
                await consumer.commit({tp: records[-1].offset + 1})


def _copy(record: Any) -> StoredOutcome:
    request = parse_request(record.value)
    outcome = msgspec.structs.replace(
        COPIED, event_id=request.event_id, source=Source(epoch=1, partition=record.partition, offset=record.offset)
    )
    return StoredOutcome(record.key, _json.encode(outcome), record.offset, outcome.type)


async def fill_codes(url: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """What `ruled` looks codes up in: code, campaign, store."""
    ledger = await asyncpg.connect(url, server_settings={"search_path": "redemption"})
    try:
        await ledger.execute(RULED_TABLES)
        await ledger.copy_records_to_table("plain_codes", records=rows)
        await ledger.execute("ANALYZE plain_codes")
    finally:
        await ledger.close()


def _done(request: dict[str, Any], winners: set[tuple[str, str]]) -> str:
    return "INSERT 0 1" if (request["code"], request["event_id"]) in winners else "INSERT 0 0"


def _outcome(request: dict[str, Any], done: str) -> bytes:
    outcome = "REDEEMED" if done == "INSERT 0 1" else "ALREADY_REDEEMED"
    return orjson.dumps({**request, "outcome": outcome, "duplicate": False})


async def main(way: str) -> None:
    servers, prefix = os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["KAFKA_TOPIC_PREFIX"]
    ledger = await asyncpg.connect(os.environ["DATABASE_URL"], server_settings={"search_path": "redemption"})
    await ledger.execute(f"SELECT pg_advisory_xact_lock(1); {TABLE}; {RULED_TABLES}")
    consumer = AIOKafkaConsumer(
        f"{prefix}game.redemptions.v1",
        bootstrap_servers=servers,
        group_id=f"{prefix}{way}",
        enable_auto_commit=False,
        session_timeout_ms=60_000,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
    await consumer.start()
    await producer.start()
    ways = {"plain": plain, "sensible": sensible, "ruled": ruled, "copied": copied}
    await ways[way](consumer, producer, ledger, f"{prefix}promo.outcomes.v1")


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(sys.argv[1]))
