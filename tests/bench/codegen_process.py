"""A codegen in a process of its own on the benchmark's servers, and what it is measured against."""

import asyncio
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg
import numpy as np

from deploy.local.postgres_programs import find_binaries
from services.codegen.store import copy_format
from shared.environment import KafkaConnection
from tests.support.databases import Databases
from tests.support.servers import session_kafka, session_postgres
from tests.support.topics import own_topics

BLOCK = 1 << 17


@dataclass(slots=True, kw_only=True)
class Figures:
    """Measures by HTTP what a caller sees, and on the same Postgres what it is compared with."""

    session: aiohttp.ClientSession
    database_url: str
    pid: int
    batches: int = 0

    async def published(self, codes: int, stores: int) -> float:
        """Seconds from the request to published."""
        await self.ensure_stores(stores)
        self.batches += 1
        body = {"campaign_id": "bench", "allotments": allotments(codes, stores), "publish": True}
        started = time.perf_counter()
        headers = {"Idempotency-Key": f"bench-{self.batches}"}
        async with self.session.post("/v1/batches", json=body, headers=headers) as response:
            assert response.status == 202, await response.text()
            batch = await response.json()
        async with self.session.get(f"/v1/batches/{batch['id']}/progress") as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    batch = json.loads(line[6:])
        seconds = time.perf_counter() - started
        assert batch["state"] == "published", batch
        return seconds

    async def ensure_stores(self, count: int) -> None:
        rows = [{"id": f"s-{n:05}", "name": f"Store {n}"} for n in range(1, count + 1)]
        async with self.session.put("/v1/stores", json=rows) as response:
            assert response.status == 200, await response.text()

    async def bare_copy(self, codes: int, stores: int) -> float:
        """Seconds for the same rows, made beforehand, by one binary COPY into a table of their own, and their primary key."""
        serials = np.arange(1, codes + 1, dtype=np.int64)
        numbers = (np.arange(codes) * stores // codes + 1).astype(np.int32)
        rows = copy_format.write_codes(serials, 1, numbers)
        connection = await asyncpg.connect(self.database_url, server_settings={"search_path": "codegen"})
        try:
            started = time.perf_counter()
            await connection.execute(
                "CREATE TABLE bare (serial bigint NOT NULL, batch_number integer NOT NULL, store_number integer NOT NULL)"
            )
            await connection.copy_to_table("bare", source=_stream(rows), format="binary")
            await connection.execute("ALTER TABLE bare ADD PRIMARY KEY (serial)")
            return time.perf_counter() - started
        finally:
            await connection.execute("DROP TABLE IF EXISTS bare")
            await connection.close()

    async def psql(self, command: str) -> float:
        """Seconds of a command by psql, as the service's role on its schema."""
        program = str(find_binaries(os.environ) / "psql")
        environment = {**os.environ, "PGOPTIONS": "-c search_path=codegen"}
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            program, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", command, self.database_url, env=environment
        )
        assert await process.wait() == 0, command
        return time.perf_counter() - started

    def resident_megabytes(self, what: str = "VmHWM") -> float:
        """The process's highest (VmHWM) or present (VmRSS) memory."""
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith(what))


def allotments(codes: int, stores: int) -> list[dict[str, Any]]:
    each, more = divmod(codes, stores)
    return [{"store_id": f"s-{n:05}", "count": each + (n <= more)} for n in range(1, stores + 1)]


def bench_codegen(measure: Callable[[Figures], Awaitable[dict[str, object]]]) -> dict[str, object]:
    """Runs a measurement beside a codegen of its own."""
    with session_kafka() as kafka, session_postgres() as postgres:
        return asyncio.run(_run(kafka, postgres, measure))


async def _run(
    kafka_server: str, postgres: str, measure: Callable[[Figures], Awaitable[dict[str, object]]]
) -> dict[str, object]:
    databases = Databases(superuser_url=postgres)
    try:
        url = await databases.make("codegen")
        async with own_topics(kafka_server) as kafka, running_process(kafka, url) as figures:
            return await measure(figures)
    finally:
        await databases.drop_all()


@asynccontextmanager
async def running_process(kafka: KafkaConnection, url: str) -> AsyncIterator[Figures]:
    """A codegen by `python -m services.codegen`, ready, with a campaign."""
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "CODEGEN_DATABASE_URL": url,
        "CODE_KEYS": json.dumps({"keys": [{"id": "k1", "key": secrets.token_hex(32)}]}),
        "CODEGEN_PORT": str(_free_port()),
        "LOG_LEVEL": "warning",
    }
    script = "import asyncio; from services.codegen.app import *; print(asyncio.run(bootstrap_admin_token()))"
    maker = await asyncio.create_subprocess_exec(sys.executable, "-c", script, env=environment, stdout=asyncio.subprocess.PIPE)
    token = (await maker.communicate())[0].decode().strip()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.codegen", env=environment)
    try:
        base = f"http://127.0.0.1:{environment['CODEGEN_PORT']}"
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(base, headers={"Authorization": f"Bearer {token}"}, timeout=timeout) as session:
            await _until_ready(session)
            await _make_campaign(session)
            yield Figures(session=session, database_url=url, pid=process.pid)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def _until_ready(session: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                async with session.get("/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)


async def _make_campaign(session: aiohttp.ClientSession) -> None:
    campaign = {
        "id": "bench",
        "name": "Bench",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2036-01-01T00:00:00Z",
        "time_zone": "UTC",
    }
    async with session.post("/v1/campaigns", json=campaign) as response:
        assert response.status == 201, await response.text()


async def _stream(rows: bytes) -> AsyncIterator[bytes]:
    yield copy_format.HEADER
    view = memoryview(rows)
    for start in range(0, len(view), 512 * 1024):
        yield view[start : start + 512 * 1024]  # type: ignore[misc]
    yield copy_format.TRAILER


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
