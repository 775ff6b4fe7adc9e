"""A world for the redemption service: campaigns, stores and codes on their topics, requests in, outcomes out."""

import asyncio
import hashlib
import itertools
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec
import numpy as np

from shared.codes.alphabet import to_text
from shared.codes.ff1 import Ff1
from shared.codes.key_ring import CodeKey, KeyRing, new_key
from shared.codes.words import NO_WORDS
from shared.contracts.codec import encode
from shared.contracts.codegen import (
    Allotment,
    Batch,
    BatchState,
    Campaign,
    CampaignLimits,
    CampaignState,
    Store,
    Token,
    Void,
    VoidRange,
)
from shared.contracts.redemption import Outcome
from shared.contracts.topics import BATCHES, CAMPAIGNS, DEAD_LETTERS, OUTCOMES, REQUESTS, STORES, TOKENS, VOIDS
from shared.environment import KafkaConnection
from shared.kafka.inspecting import LogInspector
from shared.kafka.publishing import Publisher
from shared.kafka.records import NewRecord, Record
from tests.support.polling import poll_until

PLATFORM: Final = "zork"
TOKEN: Final = "token-of-zork"
KEY: Final[CodeKey] = new_key("k1", bytes(range(32)))
KEYS: Final = KeyRing((KEY,))
CODES: Final = 10_000
STORES_COUNT: Final = 10

_decode: Final = msgspec.json.Decoder(Outcome)


def code_of(serial: int, key: CodeKey = KEY) -> str:
    """The text of a serial."""
    return to_text(int(Ff1(key.key).encrypt(np.array([serial], dtype=np.int64))[0]))


def codes_of(serials: Sequence[int], key: CodeKey = KEY) -> list[str]:
    return [to_text(int(value)) for value in Ff1(key.key).encrypt(np.array(serials, dtype=np.int64))]


def redeem(event_id: str, code: str, **changes: Any) -> dict[str, Any]:
    """A request, as a platform writes it."""
    return {
        "type": "redeem",
        "event_id": event_id,
        "platform": PLATFORM,
        "code": code,
        "player_id": f"p-{event_id}",
        "occurred_at": datetime.now(UTC).isoformat(),
        **changes,
    }


def reverse(event_id: str, reverses: str, **changes: Any) -> dict[str, Any]:
    """A request to take a redemption back."""
    return {
        "type": "reverse",
        "event_id": event_id,
        "platform": PLATFORM,
        "reverses": reverses,
        "reason": "grant_failed",
        "occurred_at": datetime.now(UTC).isoformat(),
        **changes,
    }


@dataclass(slots=True, kw_only=True)
class World:
    """One test's topics, reference data and ledger."""

    kafka: KafkaConnection
    database_url: str
    publisher: Publisher
    inspector: LogInspector
    revisions: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process of the service is told."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": self.kafka.topic_prefix,
            "REDEMPTION_DATABASE_URL": self.database_url,
            "CODE_KEYS": KEYS.to_json(),
        }

    def next_revision(self) -> int:
        return next(iter(self.revisions))

    async def publish_campaign(self, campaign_id: str = "spring", **changes: Any) -> None:
        limits = changes.pop("limits", {"per_player": None})
        now = datetime.now(UTC)
        values = {
            "id": campaign_id,
            "name": campaign_id,
            "starts_at": now - timedelta(days=200),
            "ends_at": now + timedelta(days=10),
            "time_zone": "UTC",
            "limits": CampaignLimits(**limits),
            "state": CampaignState.ACTIVE,
            "created_at": now,
            "updated_at": now,
            **changes,
        }
        await self._publish(CAMPAIGNS.name, campaign_id, Campaign(revision=self.next_revision(), **values))

    async def publish_store(self, store_id: str, **changes: Any) -> None:
        store = Store(revision=self.next_revision(), id=store_id, name=store_id, region="US-CA", **changes)
        await self._publish(STORES.name, store_id, store)

    async def publish_batch(
        self, batch_id: str = "b-1", *, campaign_id: str = "spring", first: int = 1, codes: int = CODES, **changes: Any
    ) -> None:
        """A batch whose stores s-0, s-1, … have a tenth of its codes each."""
        each = codes // STORES_COUNT
        allotments = tuple(
            Allotment(store_id=f"s-{n}", count=each, first_serial=first + n * each, last_serial=first + (n + 1) * each - 1)
            for n in range(STORES_COUNT)
        )
        values = {
            "id": batch_id,
            "campaign_id": campaign_id,
            "state": BatchState.PUBLISHED,
            "key_id": KEY.id,
            "key_check": KEY.check_value,
            "words": NO_WORDS,
            "count": codes,
            "first_serial": first,
            "last_serial": first + codes - 1,
            "allotments": allotments,
            "published_at": datetime.now(UTC),
            **changes,
        }
        await self._publish(BATCHES.name, batch_id, Batch(revision=self.next_revision(), **values))

    async def publish_void(self, first: int, last: int) -> None:
        ranges = (VoidRange(first=first, last=last, batch_id="b-1", store_id="s-0", codes=last - first + 1),)
        void = Void(
            revision=self.next_revision(),
            id=f"v-{first}",
            ranges=ranges,
            reason="stolen",
            voided_by="test",
            voided_at=datetime.now(UTC),
        )
        await self._publish(VOIDS.name, void.id, void)

    async def publish_token(self, text: str = TOKEN, scopes: tuple[str, ...] = (f"platform:{PLATFORM}",)) -> None:
        token_id = f"id-{text}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        await self._publish(
            TOKENS.name, token_id, Token(revision=self.next_revision(), id=token_id, sha256=digest, scopes=scopes)
        )

    async def send(self, *requests: Mapping[str, Any] | bytes | None, partition: int = 0) -> None:
        """Writes requests to one partition, in order."""
        records = [_record(request) for request in requests]
        await self.publisher.publish_batch(REQUESTS.name, partition, records)

    async def outcome_records(self, partition: int) -> list[Record]:
        return [record async for record in self.inspector.read(OUTCOMES.name, partition, 0)]

    async def outcomes(self, partition: int = 0) -> list[Outcome]:
        """All outcomes of a partition, each source once, in order."""
        found = [_decode.decode(record.value or b"") for record in await self.outcome_records(partition)]
        return list({outcome.source: outcome for outcome in found}.values())

    async def wait_for_outcomes(self, count: int, partition: int = 0, deadline_seconds: float = 20.0) -> list[Outcome]:
        """The partition's outcomes, once there are that many."""

        async def enough() -> list[Outcome]:
            outcomes = await self.outcomes(partition)
            return outcomes if len(outcomes) >= count else []

        return await poll_until(enough, deadline_seconds, what=f"{count} outcomes")

    async def decide(self, *requests: Mapping[str, Any], partition: int = 0) -> list[Outcome]:
        """Sends requests and waits for their outcomes."""
        before = len(await self.outcomes(partition))
        await self.send(*requests, partition=partition)
        return (await self.wait_for_outcomes(before + len(requests), partition))[before:]

    async def dead_letters(self) -> list[Record]:
        return [record async for record in self.inspector.read(DEAD_LETTERS.name, 0, 0)]

    async def query(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of the ledger, as an onlooker."""
        connection = await asyncpg.connect(self.database_url, server_settings={"search_path": "redemption"})
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    async def _publish(self, topic: str, key: str, value: object) -> None:
        await self.publisher.send(topic, key.encode(), encode(value))


@asynccontextmanager
async def new_world(kafka: KafkaConnection, database_url: str) -> AsyncIterator[World]:
    """A world with the campaign spring, ten stores, ten thousand codes and a token of zork."""
    async with AsyncExitStack() as stack:
        world = World(
            kafka=kafka,
            database_url=database_url,
            publisher=await stack.enter_async_context(Publisher(kafka)),
            inspector=await stack.enter_async_context(LogInspector(kafka)),
        )
        await world.publish_campaign()
        await asyncio.gather(*(world.publish_store(f"s-{n}") for n in range(STORES_COUNT)))
        await world.publish_batch()
        await world.publish_token()
        yield world


def unique(prefix: str = "e") -> str:
    """An event_id that nobody has used."""
    return f"{prefix}-{secrets.token_hex(6)}"


def _record(request: Mapping[str, Any] | bytes | None) -> NewRecord:
    if request is None or isinstance(request, bytes):
        return NewRecord(b"key", request)
    key = str(request.get("code") or request.get("reverses"))
    return NewRecord(key.encode(), msgspec.json.encode(request))
