"""Copies of the ranking service as processes of their own, which can be halted and killed."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from shared.environment import KafkaConnection
from tests.integration.ranking.system import Reader
from tests.support.polling import poll_until

READY_SECONDS = 90


@dataclass(frozen=True)
class Copy:
    """A running copy."""

    reader: Reader
    process: asyncio.subprocess.Process

    async def kill(self) -> None:
        """Ends it as the kernel would."""
        self.process.kill()
        await self.process.wait()

    async def end(self) -> None:
        """Ends it in order."""
        self.process.terminate()
        await self.process.wait()


@asynccontextmanager
async def copy_of_ranking(kafka: KafkaConnection, database_url: str, **environment: str) -> AsyncIterator[Copy]:
    """`python -m services.ranking`, ready; ended with the block unless it was killed before."""
    port = free_port()
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "RANKING_DATABASE_URL": database_url,
        "RANKING_PORT": str(port),
        "LOG_LEVEL": "warning",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ranking", env={**os.environ, **settings, **environment}
    )
    try:
        async with aiohttp.ClientSession() as session:
            reader = Reader(session, f"http://127.0.0.1:{port}")
            await poll_until(lambda: is_ready(reader), READY_SECONDS, every_seconds=0.1, what="readiness")
            yield Copy(reader, process)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def is_ready(reader: Reader) -> bool:
    try:
        async with reader.session.get(f"{reader.url}/readyz") as response:
            return response.status == HTTPStatus.OK
    except aiohttp.ClientError:
        return False


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
