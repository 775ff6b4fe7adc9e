"""Calling the services: JSON in and out, problems turned into one sentence."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import orjson

from counterfoil.environment import CommandError, variable

TIMEOUT: Final = aiohttp.ClientTimeout(total=120, connect=5)
STREAM_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=5, sock_read=120)


class Service:
    """One service's HTTP API, as the command line uses it."""

    def __init__(self, session: aiohttp.ClientSession, name: str, url: str) -> None:
        self._session = session
        self._name = name
        self.url = url

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> Any:
        """The answer's JSON. Raises CommandError with the problem's sentence and its fields."""
        data = None if body is None else orjson.dumps(body)
        head = {"Content-Type": "application/json", **(headers or {})}
        async with self._request(method, path, data=data, headers=head, params=query, timeout=TIMEOUT) as response:
            text = await response.read()
            return orjson.loads(text) if text else None

    @asynccontextmanager
    async def stream(self, path: str, *, query: dict[str, str] | None = None) -> AsyncIterator[aiohttp.StreamReader]:
        """The answer's body as it comes."""
        async with self._request("GET", path, params=query, timeout=STREAM_TIMEOUT) as response:
            yield response.content

    @asynccontextmanager
    async def _request(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(method, self.url + path, **options) as response:
                if response.status >= 400:
                    raise CommandError(_sentence(response.status, await response.read()))
                yield response
        except aiohttp.ClientConnectionError as error:
            raise CommandError(f"{self._name} does not answer at {self.url} ({error}); is the system up? `make up`") from None
        except TimeoutError:
            raise CommandError(f"{self._name} at {self.url} did not answer in time") from None


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
        fields = "; ".join(f"{error['field']}: {error['message']}" for error in problem.get("errors", []))
        return f"{problem['detail']}{f' ({fields})' if fields else ''} [{status}]"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"the service answered {status}: {body[:200].decode(errors='replace')}"
