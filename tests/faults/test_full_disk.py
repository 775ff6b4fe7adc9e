"""Postgres' disk is full: the copy waits until there is room, and everything is decided once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from deploy.local import processes
from shared.environment import KafkaConnection
from tests.faults.copies import copies_of
from tests.faults.drive import check_world, moving_on, send_all, wait_decided
from tests.faults.servers import Mortal, cramped_postgres, may_mount
from tests.faults.traffic import stream
from tests.integration.redemption.world import World, new_world
from tests.support.databases import Databases
from tests.support.polling import poll_until

SEED = 61
EVENTS = 3_000
SMALL = {"REDEMPTION_BATCH_RECORDS": "60", "REDEMPTION_PACE_MILLISECONDS": "0"}
REFUSING = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON redemptions FOR EACH STATEMENT EXECUTE FUNCTION refuse()
"""


@dataclass(frozen=True, slots=True)
class Room:
    """How the disk of the world's Postgres fills, and gets room again."""

    world: World
    fill: Callable[[], Awaitable[None]]
    free: Callable[[], Awaitable[None]]


@asynccontextmanager
async def said_to_be_full(
    kafka: KafkaConnection, folder: Path, database: Callable[[str], Awaitable[str]]
) -> AsyncIterator[Room]:
    """Postgres says so, on any machine."""
    async with new_world(kafka, await database("redemption")) as world:

        async def run(statements: str) -> None:
            connection = await asyncpg.connect(world.database_url, server_settings={"search_path": "redemption"})
            await connection.execute(statements)
            await connection.close()

        yield Room(world, lambda: run(REFUSING), lambda: run("DROP TRIGGER full_disk ON redemptions"))


@asynccontextmanager
async def really_full(kafka: KafkaConnection, folder: Path, database: Callable[[str], Awaitable[str]]) -> AsyncIterator[Room]:
    """A disk of its own. A server that cannot write its log ends; whoever makes room starts it again."""
    folder.chmod(0o711)
    async with AsyncExitStack() as stack:
        server, disk = stack.enter_context(cramped_postgres(folder))
        url = await Databases(superuser_url=server.address).make("redemption")
        world = await stack.enter_async_context(new_world(kafka, url))

        async def free() -> None:
            disk.free()
            await asyncio.to_thread(revive, server)

        yield Room(world, lambda: asyncio.to_thread(disk.fill), free)


def revive(server: Mortal) -> None:
    if processes.living(server.program.pid_file) is None:
        server.start()


@pytest.mark.parametrize("disk", [said_to_be_full, *([really_full] if may_mount() else [])])
async def test_a_full_disk_is_waited_out(
    disk: Callable[..., AbstractAsyncContextManager[Room]],
    kafka: KafkaConnection,
    tmp_path: Path,
    database: Callable[[str], Awaitable[str]],
) -> None:
    async with disk(kafka, tmp_path, database) as room:
        with copies_of(room.world.environment, tmp_path) as copies:
            process = copies.start(**SMALL)
            await send_all(room.world, stream(SEED, EVENTS))
            await moving_on(room.world, EVENTS)
            await room.fill()
            await poll_until(lambda: "partition waits" in copies.text(), 60, what="the copy noticing")
            await room.free()
            await wait_decided(room.world, copies)
            assert (await check_world(room.world, copies)).requests == EVENTS
            assert process.poll() is None, "the copy did not wait until there was room"
