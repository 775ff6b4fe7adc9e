"""A wire between the service and a server that can be cut, slowed and muted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

CHUNK_BYTES = 64 * 1024


class Wire:
    """Passes bytes both ways to whatever listens on `port` when somebody connects.

    `delay_seconds` holds each piece back; `cut` ends all connections at once, in mid-sentence; between `mute` and `unmute` what
    is said to the server arrives, and what it answers does not.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._open: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._answering = asyncio.Event()
        self._answering.set()
        self.delay_seconds = 0.0
        self.held_back = 0

    async def connect(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        try:
            far_in, far_out = await asyncio.open_connection(self.host, self.port)
        except OSError:
            near_out.close()
            return
        self._open |= {near_out, far_out}
        for carrying in (self._carry(near_in, far_out), self._carry(far_in, near_out, answers=True)):
            task = asyncio.create_task(carrying)
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    def mute(self) -> None:
        self._answering.clear()

    def unmute(self) -> None:
        self._answering.set()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(CHUNK_BYTES):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if answers and not self._answering.is_set():
                    self.held_back += len(piece)
                    await self._answering.wait()
                target.write(piece)
                await target.drain()
        target.close()


@asynccontextmanager
async def wire_to_port(port: int, host: str = "127.0.0.1") -> AsyncIterator[tuple[Wire, int]]:
    """The wire, and the port at its near end."""
    wire = Wire(host, port)
    server = await asyncio.start_server(wire.connect, "127.0.0.1", 0)
    async with server:
        yield wire, server.sockets[0].getsockname()[1]
        wire.unmute()
        wire.cut()


@asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """The wire, and the database's URL by way of it."""
    at = urlsplit(url)
    async with wire_to_port(at.port or 0, at.hostname or "") as (wire, port):
        yield wire, urlunsplit(at._replace(netloc=f"{at.username}:{at.password}@127.0.0.1:{port}"))
