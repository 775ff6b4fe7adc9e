"""Calling the services: JSON in and out, problems turned into one sentence; nothing is waited for without end."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import orjson

from counterfoil.environment import CommandError, variable

TIMEOUT: Final = aiohttp.ClientTimeout(total=120, connect=5)
STREAM_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=5)
STALL_SECONDS: Final = 60.0
"""A stream of which nothing came for so long will not go on. Counted here: a client library may lose its own count."""

PAGE_ITEMS: Final = "1000"
FAULTS_SHOWN: Final = 20


class Body:
    """An answer's body as it comes. Raises TimeoutError when it stalls, aiohttp's errors when it breaks off."""

    def __init__(self, content: aiohttp.StreamReader, stall_seconds: float) -> None:
        self._content = content
        self._stall_seconds = stall_seconds

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            async with asyncio.timeout(self._stall_seconds):
                chunk = await self._content.readany()
            if not chunk:
                return
            yield chunk

    async def lines(self) -> AsyncIterator[bytes]:
        """Without their ends; the last one may have had none."""
        rest = b""
        async for chunk in self.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.removesuffix(b"\r")
        if rest:
            yield rest

    async def read(self) -> bytes:
        """All of it."""
        return b"".join([chunk async for chunk in self.chunks()])


class Service:
    """One service's HTTP API, as the command line uses it."""

    def __init__(self, session: aiohttp.ClientSession, name: str, url: str, *, stall_seconds: float = STALL_SECONDS) -> None:
        self._session = session
        self._name = name
        self._stall_seconds = stall_seconds
        self.url = url

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer's JSON. `body` is sent as JSON, bytes as they are. Raises CommandError with the problem's sentence.

        A number of any size and a text in any encoding are sent as they were typed: it is the service that refuses them.
        """
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        head = {"Content-Type": "application/json", **(headers or {})}
        async with self._request(method, path, data=data, headers=head, params=query, timeout=TIMEOUT) as response:
            text = await response.read()
            return orjson.loads(text) if text else None

    async def items(self, path: str, *, query: Mapping[str, str] | None = None) -> list[Any]:
        """All items of a list, page by page."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            page = await self.call(
                "GET", path, query={"limit": PAGE_ITEMS, **(query or {}), **({"cursor": cursor} if cursor else {})}
            )
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    @asynccontextmanager
    async def stream(self, path: str, *, query: Mapping[str, str] | None = None) -> AsyncIterator[Body]:
        """The answer's body as it comes. CommandError leaves the block when it breaks off or stalls."""
        async with self._request("GET", path, params=query, timeout=STREAM_TIMEOUT) as response:
            yield Body(response.content, self._stall_seconds)

    @asynccontextmanager
    async def _request(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with (
                asyncio.timeout(self._stall_seconds) as head,
                self._session.request(method, self.url + path, **options) as response,
            ):
                head.reschedule(None)
                if response.status >= 400:
                    raise CommandError(_sentence(response.status, await response.read()))
                yield response
        except aiohttp.InvalidURL:
            raise CommandError(
                f"{self._name.upper()}_URL is {self.url}, which is no address to reach {self._name} at"
            ) from None
        except TimeoutError:
            raise CommandError(f"{self._name} at {self.url} did not answer in time") from None
        except aiohttp.ClientConnectorError as error:
            raise CommandError(f"{self._name} does not answer at {self.url} ({error}); is the system up? `make up`") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            what = str(error) or type(error).__name__
            raise CommandError(f"{self._name} at {self.url} broke off its answer ({what})") from None


def in_path(text: str) -> str:
    """A text of a person's as one part of a path, whatever is in it."""
    return quote(text, safe="", errors="replace")


@asynccontextmanager
async def service(name: str, *, token: str = "ADMIN_TOKEN") -> AsyncIterator[Service]:  # noqa: S107 (a variable's name)
    """A service by its name, with the token that the variable holds."""
    url = variable(f"{name.upper()}_URL", f"to reach {name}")
    headers = {"Authorization": f"Bearer {os.environ.get(token, '')}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Service(session, name, url.rstrip("/"))


def _sentence(status: int, body: bytes) -> str:
    try:
        problem = orjson.loads(body)
        errors = problem.get("errors", [])
        fields = "; ".join(f"{error['field']}: {error['message']}" for error in errors[:FAULTS_SHOWN])
        fields += f"; and {len(errors) - FAULTS_SHOWN:,} more" if len(errors) > FAULTS_SHOWN else ""
        return f"{problem['detail']}{f' ({fields})' if fields else ''} [{status}]"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"the service answered {status}: {body[:200].decode(errors='replace')}"
