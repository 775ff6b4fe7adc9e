"""How the command line's client ends when a service does not: always, soon, with a sentence."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from counterfoil.environment import CommandError
from counterfoil.http import Service

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
ENOUGH_SECONDS = 3.0

Connection = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_service(answer: Connection) -> AsyncIterator[Service]:
    """A service that reads the request's head and then does to the connection what `answer` does."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await answer(writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session:
        yield Service(session, "codegen", f"http://127.0.0.1:{port}", stall_seconds=0.5)
    server.close()


async def read_all(service: Service) -> list[bytes]:
    async with service.stream("/codes.csv") as body:
        return [line async for line in body.lines()]


async def ends_with(service: Service, sentence: str) -> None:
    started = time.monotonic()
    with pytest.raises(CommandError, match=sentence):
        await read_all(service)
    assert time.monotonic() - started < ENOUGH_SECONDS


async def test_a_stream_that_is_whole_is_read_line_by_line() -> None:
    async def whole(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"a\r\na,b\r\n1,2\r\n\r\n1\r\n3\r\n0\r\n\r\n")

    async with raw_service(whole) as service:
        assert await read_all(service) == [b"a,b", b"1,2", b"3"]


async def test_a_connection_that_is_closed_in_the_middle_ends_with_a_sentence() -> None:
    async def cut(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"a\r\na,b\r\n1,2\r\n\r\n")
        await writer.drain()
        writer.close()

    async with raw_service(cut) as service:
        await ends_with(service, "codegen at .* broke off its answer")


async def test_a_connection_that_is_reset_in_the_middle_ends_with_a_sentence() -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"a\r\na,b\r\n1,2\r\n\r\n")
        await writer.drain()
        writer.transport.abort()

    async with raw_service(reset) as service:
        await ends_with(service, "broke off its answer")


async def test_a_stream_that_stalls_ends_with_a_sentence() -> None:
    async def stall(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"a\r\na,b\r\n1,2\r\n\r\n")
        await writer.drain()

    async with raw_service(stall) as service:
        await ends_with(service, "did not answer in time")


async def test_a_second_answer_in_the_middle_of_the_first_ends_with_a_sentence() -> None:
    async def again(writer: asyncio.StreamWriter) -> None:
        writer.write(
            HEAD + b"a\r\na,b\r\n1,2\r\n\r\n" + b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\nsorry"
        )
        await writer.drain()

    async with raw_service(again) as service:
        await ends_with(service, "broke off its answer|did not answer in time")


async def test_a_service_that_never_answers_ends_with_a_sentence() -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await writer.drain()

    async with raw_service(silent) as service:
        await ends_with(service, "did not answer in time")


async def test_a_service_that_is_not_there_is_named() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(CommandError, match="is the system up"):
            await Service(session, "codegen", "http://127.0.0.1:9").call("GET", "/v1/campaigns")


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_handler_that_fails_in_the_middle_of_its_stream_ends_with_a_sentence(compressed: bool) -> None:
    async def fails(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if compressed:
            response.enable_compression()
        await response.prepare(request)
        await response.write(b"a,b\r\n" * 10_000)
        message = "the database went away"
        raise RuntimeError(message)

    app = web.Application()
    app.router.add_get("/codes.csv", fails)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://127.0.0.1:{1}".format(*runner.addresses[0])
    async with aiohttp.ClientSession() as session:
        await ends_with(Service(session, "codegen", url, stall_seconds=0.5), "broke off its answer|did not answer in time")
    await runner.cleanup()
