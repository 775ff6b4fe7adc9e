"""A wire between the service and Postgres that can be cut and slowed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

CHUNK_BYTES = 64 * 1024


class Wire:
    """Passes bytes both ways. `delay_seconds` holds each piece back; `cut` ends all connections at once, in mid-sentence."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._open: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self.delay_seconds = 0.0
        self.cuts = 0

    async def connect(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        try:
            far_in, far_out = await asyncio.open_connection(self._host, self._port)
        except OSError:
            near_out.close()
            return
        self._open |= {near_out, far_out}
        for source, target in ((near_in, far_out), (far_in, near_out)):
            task = asyncio.create_task(self._carry(source, target))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    def cut(self) -> None:
        self.cuts += 1
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(CHUNK_BYTES):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                target.write(piece)
                await target.drain()
        target.close()


@asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """The wire, and the database's URL by way of it."""
    at = urlsplit(url)
    wire = Wire(at.hostname or "", at.port or 0)
    server = await asyncio.start_server(wire.connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    place = f"{at.username}:{at.password}@127.0.0.1:{port}"
    async with server:
        yield wire, urlunsplit(at._replace(netloc=place))
        wire.cut()
