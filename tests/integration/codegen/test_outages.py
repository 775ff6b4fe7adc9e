"""A Postgres of the test's own that runs out of room, or goes away, in the middle of a load."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest

from deploy.local import ports, postgres, processes
from deploy.local.postgres import PostgresFiles
from deploy.local.processes import Program
from services.codegen.app import bootstrap_admin_token
from shared.environment import KafkaConnection
from tests.integration.codegen.conftest import RING, Codegen, running_codegen, settings_for
from tests.support.databases import Databases
from tests.support.polling import poll_until

CODES = 1_500_000
ROOM_BYTES = 32 * 1024 * 1024
"""A file of the register holds 730 thousand codes then; the log's files, 16 MB each, still fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnServer:
    program: Program
    files: PostgresFiles
    port: int

    @property
    def url(self) -> str:
        return postgres.superuser_url(self.files, self.port)

    def start(self, *, largest_file: int | None = None) -> None:
        """`largest_file` in bytes: no file may grow beyond, as under the quota of those who share a disk."""
        program = self.program
        if largest_file is not None:
            limited = ["sh", "-c", f'ulimit -S -f {largest_file // 512}; exec "$@"', "sh", *program.command]
            program = replace(program, command=limited)
        postgres.start_postgres(program, self.files, ends_with_us=True)

    def stop(self) -> None:
        processes.stop(self.program)


@pytest.fixture
def own_server() -> Iterator[OwnServer]:
    folder = Path(tempfile.mkdtemp(prefix="counterfoil-outage-"))
    folder.chmod(0o711)
    files = postgres.prepare_files(folder)
    port = ports.free_port(26_432)
    server = OwnServer(program=postgres.postgres_program(folder, files, port), files=files, port=port)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(files.folder, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def codegen_on(server: OwnServer, kafka: KafkaConnection) -> AsyncIterator[Codegen]:
    url = await Databases(superuser_url=server.url).make("codegen")
    settings = settings_for(kafka, url)
    token = await bootstrap_admin_token(settings)
    async with running_codegen(settings, RING, token) as codegen:
        yield codegen


async def order_large(codegen: Codegen) -> str:
    await codegen.make_campaign()
    await codegen.make_stores(3)
    batch = await codegen.order({"campaign_id": "spring", "count_per_store": CODES // 3, "stores": "all", "publish": True})
    return str(batch["id"])


async def restart(server: OwnServer, codegen: Codegen, **start: int) -> None:
    """Stops and starts the server; returns when codegen answers again."""
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start, **start)

    async def answers() -> bool:
        return (await codegen.call("GET", "/v1/campaigns")).status == 200

    await poll_until(answers, 30, what="codegen answering again")


async def count_codes(codegen: Codegen) -> int:
    connection = await asyncpg.connect(codegen.settings.database_url, server_settings={"search_path": "codegen"})
    try:
        return int(await connection.fetchval("SELECT count(*) FROM codes"))
    finally:
        await connection.close()


async def test_a_batch_that_finds_no_room_tells_why_and_is_resumed(own_server: OwnServer, kafka: KafkaConnection) -> None:
    async with codegen_on(own_server, kafka) as codegen:
        await codegen.make_campaign()
        await restart(own_server, codegen, largest_file=ROOM_BYTES)
        batch_id = await order_large(codegen)

        async def told() -> str | None:
            batch = (await codegen.call("GET", f"/v1/batches/{batch_id}")).json
            return str(batch["state"]) if batch["error"] else None

        state = await poll_until(told, 60, what="the batch telling why it does not go on")
        assert state in ("generating", "failed")
        assert (await codegen.call("POST", f"/v1/batches/{batch_id}/publish")).status == 409
        assert await count_codes(codegen) == 0, "nothing of it is in the register yet"
        await restart(own_server, codegen)
        if state == "failed":
            assert (await codegen.call("POST", f"/v1/batches/{batch_id}/resume")).status == 200
        batch = await codegen.until(batch_id, "published", seconds=120)
        assert batch["error"] is None
        assert await count_codes(codegen) == CODES


async def test_a_postgres_that_goes_away_in_the_middle_is_waited_for(own_server: OwnServer, kafka: KafkaConnection) -> None:
    async with codegen_on(own_server, kafka) as codegen:
        batch_id = await order_large(codegen)

        async def under_way() -> bool:
            return int((await codegen.call("GET", f"/v1/batches/{batch_id}")).json["loaded"]) > 0

        await poll_until(under_way, 30, every_seconds=0.02, what="a block being loaded")
        await asyncio.to_thread(own_server.stop)
        assert (await codegen.call("GET", f"/v1/batches/{batch_id}")).status == 503

        async def told() -> bool:
            reply = await codegen.call("GET", "/readyz")
            return reply.status == 503 and "Postgres does not answer" in reply.text

        await poll_until(told, what="the reason in /readyz")
        await restart(own_server, codegen)
        await codegen.until(batch_id, "published", seconds=120)
        assert await count_codes(codegen) == CODES
