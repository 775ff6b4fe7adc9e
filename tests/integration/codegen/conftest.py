"""A running codegen on a database and topics of the test's own, and a client with its admin token."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import pytest
import structlog

from services.codegen.app import bootstrap_admin_token, running
from services.codegen.settings import CodegenSettings
from shared.codes.key_ring import CodeKey, KeyRing
from shared.environment import KafkaConnection
from shared.lifecycle import RunningService
from tests.support.polling import poll_until

structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

RING = KeyRing((CodeKey("k1", bytes(range(32))),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def errors(self) -> dict[str, str]:
        """Messages by field of a problem."""
        return {error["field"]: error["message"] for error in self.json["errors"]}


@dataclass(slots=True, kw_only=True)
class Codegen:
    """A running service, spoken to by HTTP."""

    service: RunningService
    settings: CodegenSettings
    session: aiohttp.ClientSession
    token: str = field(repr=False)

    async def call(self, method: str, path: str, body: Any = None, *, token: str | None = None, **options: Any) -> Reply:
        headers = {"Authorization": f"Bearer {token or self.token}", **options.pop("headers", {})}
        async with self.session.request(method, self.service.url + path, json=body, headers=headers, **options) as response:
            return Reply(status=response.status, headers=dict(response.headers), text=await response.text())

    async def make_campaign(self, campaign_id: str = "spring", **changes: Any) -> Any:
        reply = await self.call("POST", "/v1/campaigns", campaign_body(campaign_id, **changes))
        assert reply.status in (200, 201), reply.text
        return reply.json

    async def make_stores(self, count: int) -> list[str]:
        ids = [f"s-{number:05}" for number in range(1, count + 1)]
        reply = await self.call("PUT", "/v1/stores", [{"id": i, "name": f"Store {i}", "region": "US-CA"} for i in ids])
        assert reply.status == 200, reply.text
        return ids

    async def order(self, body: Any, key: str = "key-1") -> Any:
        reply = await self.call("POST", "/v1/batches", body, headers={"Idempotency-Key": key})
        assert reply.status == 202, reply.text
        return reply.json

    async def until(self, batch_id: str, *states: str, seconds: float = 30) -> Any:
        async def there() -> Any:
            batch = (await self.call("GET", f"/v1/batches/{batch_id}")).json
            assert batch["state"] != "failed" or "failed" in states, batch
            return batch if batch["state"] in states else None

        return await poll_until(there, seconds, what=f"batch being {states}")

    async def made(self, body: Any, key: str = "key-1") -> Any:
        """A batch that was ordered and is published."""
        batch = await self.order({**body, "publish": True}, key)
        return await self.until(batch["id"], "published")

    async def codes(self, batch_id: str, query: str = "") -> list[tuple[str, int, str]]:
        """Codes, serials and stores of a batch's export."""
        reply = await self.call("GET", f"/v1/batches/{batch_id}/codes.csv?header=plain{query}")
        assert reply.status == 200, reply.text
        rows = [line.split(",") for line in reply.text.split("\r\n")[1:] if line]
        return [(code, int(serial), store) for code, serial, store in rows]


def campaign_body(campaign_id: str = "spring", **changes: Any) -> dict[str, Any]:
    return {
        "id": campaign_id,
        "name": "Spring 2026",
        "starts_at": "2026-11-01T00:00:00Z",
        "ends_at": "2036-12-01T00:00:00Z",
        "time_zone": "America/New_York",
        **changes,
    }


def settings_for(kafka: KafkaConnection, url: str, **more: Any) -> CodegenSettings:
    return CodegenSettings(
        kafka_bootstrap_servers=kafka.bootstrap_servers,
        kafka_topic_prefix=kafka.topic_prefix,
        database_url=url,
        **{"codegen_worker_dead_after_seconds": 2, **more},
    )


Start = Callable[..., Awaitable[Codegen]]


@pytest.fixture
async def codegen_url(database: Callable[[str], Awaitable[str]]) -> str:
    """A fresh database of the schema codegen."""
    return await database("codegen")


@pytest.fixture
async def start(codegen_url: str, kafka: KafkaConnection) -> AsyncIterator[Start]:
    """`await start()`: a codegen on the test's database; further ones share it, with the same admin token."""
    token: list[str] = []
    async with AsyncExitStack() as stack:

        async def begin(ring: KeyRing = RING, **more: Any) -> Codegen:
            settings = settings_for(kafka, codegen_url, **more)
            if not token:
                token.append(await bootstrap_admin_token(settings))
            return await stack.enter_async_context(running_codegen(settings, ring, token[0]))

        yield begin


@asynccontextmanager
async def running_codegen(settings: CodegenSettings, ring: KeyRing, token: str) -> AsyncIterator[Codegen]:
    async with running(settings, ring) as service, aiohttp.ClientSession() as session:
        await poll_until(lambda: not service.readiness.problems(), 20, what="codegen being ready")
        yield Codegen(service=service, settings=settings, session=session, token=token)


@pytest.fixture
async def codegen(start: Start) -> Codegen:
    return await start()


@pytest.fixture
async def tables(codegen_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The service's own database, looked into."""
    connection = await asyncpg.connect(codegen_url, server_settings={"search_path": "codegen"})
    yield connection
    await connection.close()


def environment_of(settings: CodegenSettings, ring: KeyRing) -> dict[str, str]:
    """The environment of a codegen in a process of its own."""
    return {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
        "CODEGEN_DATABASE_URL": settings.database_url,
        "CODE_KEYS": ring.to_json(),
        "CODEGEN_WORKER_DEAD_AFTER_SECONDS": str(settings.codegen_worker_dead_after_seconds),
    }
