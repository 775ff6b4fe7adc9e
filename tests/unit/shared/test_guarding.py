"""Slow clients are let go of, large heads and bodies refused, and callers told how often they may ask."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from shared.web import guarding
from shared.web.application import GUARD, serving
from shared.web.guarding import ConnectionGuard, RateLimit


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "LOOK_SECONDS", 0.05)


@asynccontextmanager
async def _served(handler: Callable[[web.Request], object], guard: ConnectionGuard) -> AsyncIterator[int]:
    app = web.Application(client_max_size=1_000, middlewares=[guard.watch])
    app[GUARD] = guard

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        handler(request)
        return web.Response(text=str(len(body)))

    app.router.add_route("*", "/", answer)
    async with serving(app, host="127.0.0.1", port=0) as url:
        yield int(url.rpartition(":")[2])


async def _say(port: int, *parts: bytes, pause: float = 0.0, seconds: float = 10.0) -> bytes:
    """What the server answers until it closes, to bytes sent one by one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.read(-1))
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause)
        async with asyncio.timeout(seconds):
            return await answer
    except ConnectionError:
        return b""
    finally:
        answer.cancel()
        writer.close()


GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def _nothing(_request: web.Request) -> None:
    return None


async def test_a_head_that_never_ends_is_let_go_of() -> None:
    async with _served(_nothing, ConnectionGuard(first_head_seconds=0.3)) as port:
        started = time.monotonic()
        assert await _say(port, b"GET / HTTP/1.1\r\n", *[b"X: y\r\n"] * 3, pause=0.02) == b""
        assert time.monotonic() - started < 8
        assert b"200 OK" in await _say(port, GET)


async def test_a_body_that_drips_is_let_go_of_and_one_that_flows_is_not() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900\r\n\r\n"
    async with _served(_nothing, ConnectionGuard(body_grace_seconds=0.3)) as port:
        assert await _say(port, head, b"x" * 20) == b""
        assert b"200 OK" in await _say(port, head, b"x" * 900)


async def test_a_request_that_is_whole_may_take_its_time() -> None:
    guard = ConnectionGuard(first_head_seconds=0.1, body_grace_seconds=0.1)
    app = web.Application(middlewares=[guard.watch])
    app[GUARD] = guard

    async def slow(_request: web.Request) -> web.Response:
        await asyncio.sleep(0.6)
        return web.Response(text="done")

    app.router.add_get("/", slow)
    async with serving(app, host="127.0.0.1", port=0) as url:
        assert b"done" in await _say(int(url.rpartition(":")[2]), GET)


async def test_heads_and_bodies_have_their_limits() -> None:
    async with _served(_nothing, ConnectionGuard()) as port:
        long_field = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n"
        assert b" 400 " in (await _say(port, long_field)).split(b"\r\n")[0]
        long_line = b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        assert b" 400 " in (await _say(port, long_line)).split(b"\r\n")[0]
        large = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5_000
        assert b" 413 " in (await _say(port, large)).split(b"\r\n")[0]


def test_a_caller_is_told_how_often_it_may_ask() -> None:
    rate = RateLimit(2)
    assert rate.count("a", 60.0) == (True, {"RateLimit-Policy": '"caller";q=2;w=60', "RateLimit": '"caller";r=1;t=61'})
    assert rate.count("a", 90.0)[1]["RateLimit"] == '"caller";r=0;t=31'
    allowed, headers = rate.count("a", 119.5)
    assert not allowed
    assert headers["Retry-After"] == "1"
    assert rate.count("b", 119.5)[0]
    assert rate.count("a", 120.0)[0]


def test_without_a_limit_nothing_is_counted() -> None:
    assert RateLimit(None).count("a", 0.0) == (True, {})
