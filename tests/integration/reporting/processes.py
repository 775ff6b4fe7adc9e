"""The service as a process of its own, for what must be killed or measured from outside."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import psutil

from deploy.local import ports
from shared.environment import KafkaConnection
from tests.integration.reporting.system import Reporting
from tests.support.polling import poll_until

USUAL_PORT = 28104


@asynccontextmanager
async def process(
    kafka: KafkaConnection, url: str, *, ready: bool = True, **more: str
) -> AsyncIterator[tuple[Reporting, psutil.Process]]:
    """A running service, answering unless `ready` is false, killed at the block's end if it still runs."""
    port = ports.free_port(USUAL_PORT)
    environment = {
        "PATH": os.environ["PATH"],
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "REPORTING_DATABASE_URL": url,
        "REPORTING_TIMER": "false",
        "REPORTING_PORT": str(port),
        **more,
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.reporting", env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with aiohttp.ClientSession() as client:
            reporting = Reporting(f"http://127.0.0.1:{port}", client)
            if ready:
                await poll_until(lambda: _answers(reporting), 60, what="readiness")
            yield reporting, psutil.Process(started.pid)
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def _answers(reporting: Reporting) -> bool:
    try:
        async with reporting.client.get(f"{reporting.url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False
