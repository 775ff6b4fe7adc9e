"""A client that takes next to nothing of the machine, so that a benchmark measures the server: the same GET on some
connections for some seconds, each asked again as soon as it is answered.
"""

import asyncio
import time
from functools import partial
from typing import Final, cast
from urllib.parse import urlsplit

END_OF_HEAD: Final = b"\r\n\r\n"
LENGTH: Final = b"\r\ncontent-length: "


async def hammer(url: str, *, token: str, seconds: float, connections: int) -> list[float]:
    """The seconds that each request took. Raises AssertionError where an answer is not 200."""
    at = urlsplit(url)
    target = f"{at.path}?{at.query}" if at.query else at.path
    request = f"GET {target} HTTP/1.1\r\nHost: {at.netloc}\r\nAuthorization: Bearer {token}\r\nAccept: */*\r\n\r\n".encode()
    times: list[float] = []
    until = time.perf_counter() + seconds
    callers = [_Caller(request, times, until) for _ in range(connections)]
    loop = asyncio.get_running_loop()
    for caller in callers:
        await loop.create_connection(partial(_same, caller), at.hostname or "", at.port or 80)
    await asyncio.gather(*(caller.ended for caller in callers))
    return times


def _same(caller: "_Caller") -> "_Caller":
    return caller


class _Caller(asyncio.Protocol):
    """One connection: knows of HTTP what our answers need, a head with Content-Length."""

    def __init__(self, request: bytes, times: list[float], until: float) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self._request = request
        self._times = times
        self._until = until
        self._head = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(END_OF_HEAD)
            if end < 0:
                return
            head = self._head[:end].lower()
            if not head.startswith(b"http/1.1 200 "):
                self._end(AssertionError(head.decode()))
                return
            length = int(head[head.index(LENGTH) + len(LENGTH) :].partition(b"\r\n")[0])
            self._missing = length - (len(self._head) - end - len(END_OF_HEAD))
            self._head = b""
        if not self._missing:
            self._answered()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionResetError("the server closed the connection"))

    def _answered(self) -> None:
        now = time.perf_counter()
        self._times.append(now - self._asked_at)
        if now < self._until:
            self._ask()
        else:
            self._end(None)

    def _ask(self) -> None:
        self._asked_at = time.perf_counter()
        self._transport.write(self._request)

    def _end(self, error: Exception | None) -> None:
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)
        self._transport.close()
