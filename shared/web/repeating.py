"""Reads that come again: answered from what the last answer to the same question was made of, without asking the route again.

A handler that knows how to tell whether its answer still holds returns a `Repeatable`. Its head is kept as it was sent, so a
repeated answer has the same headers; what a request has to pass is passed every time: the token is looked up (it may have
been revoked), the rate limit counts, metrics, the log line, the request's id and the guard of its connection are the same.
"""

import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter

from shared.telemetry import traces
from shared.web.guarding import ConnectionGuard, RateLimit
from shared.web.noting import note, template_of
from shared.web.tokens import Principal, TokenDirectory

MOST_KEPT: Final = 1_000
LONGEST_TARGET: Final = 500
OF_ONE_ANSWER: Final = frozenset({"content-length", "date", "x-request-id", "ratelimit", "ratelimit-policy", "connection"})

Again = Callable[[datetime], tuple[bytes, ...] | None]
"""The body of the answer now, in parts; None when the route has to be asked anew."""

Handler = Callable[[Any], Awaitable[web.StreamResponse]]
Question = tuple[str, str, str | None, str | None]
"""Target, token id, origin, and the version that the caller has."""


def new_request_id() -> str:
    """32 hexadecimal digits at random."""
    return f"{random.getrandbits(128):032x}"


class Repeatable(web.Response):
    """An answer that can be given again as long as `again` has a body for it."""

    def __init__(self, *, again: Again, status: int = 200, body: bytes | None = None, headers: dict[str, str]) -> None:
        super().__init__(status=status, body=body, headers=headers)
        self.again = again
        self.keep: Callable[[web.BaseRequest, Repeatable], None] | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends the head, and lets it be kept: only now it has all its headers."""
        writer = await super().prepare(request)
        if self.keep is not None:
            self.keep(request, self)
        return writer


@dataclass(frozen=True, slots=True)
class _Repeat:
    principal: Principal
    template: str
    status: int
    head: bytes
    again: Again


class _Written(web.StreamResponse):
    """Stands for an answer that has been written as a whole."""

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> None:  # noqa: ARG002 (aiohttp's signature)
        return None

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002
        return None


class Repeats:
    """The answers that are kept, by target, caller, origin and the version that the caller has. Bounded."""

    def __init__(self, tokens: TokenDirectory, rate: RateLimit, guard: ConnectionGuard) -> None:
        self._tokens = tokens
        self._rate = rate
        self._guard = guard
        self._kept: dict[Question, _Repeat] = {}
        self._written = _Written()
        self._date = (0, b"")

    def around(self, handler: Handler) -> Handler:
        """The server's handler, asked only for what cannot be repeated."""

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            data = self._repeat(request) if self._kept and not traces.are_on() else None
            if data is None:
                return await handler(request)
            with suppress(ConnectionResetError):
                await request.writer.write_eof(data)
            return self._written

        return answer

    def keep(self, request: web.BaseRequest, response: Repeatable) -> None:
        """Keeps an answer whose head was just sent."""
        found = self._question(request, datetime.now(UTC))
        if found is None or len(request.raw_path) > LONGEST_TARGET or not isinstance(request, web.Request):
            return
        lines = [f"HTTP/1.1 {response.status} {response.reason}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items() if name.lower() not in OF_ONE_ANSWER]
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        principal, question = found
        head = "\r\n".join(lines).encode("utf-8", "surrogateescape")
        self._kept[question] = _Repeat(principal, template_of(request), response.status, head, response.again)

    def _repeat(self, request: web.BaseRequest) -> bytes | None:
        """The whole answer as bytes, None where the route is to be asked."""
        started, now = time.perf_counter(), datetime.now(UTC)
        found = self._question(request, now)
        if found is None:
            return None
        principal, question = found
        kept = self._kept.get(question)
        if kept is None or kept.principal is not principal:
            return None
        body = kept.again(now)
        if body is None:
            del self._kept[question]
            return None
        request_id = request.headers.get("X-Request-Id", "")[:64] or new_request_id()
        if not request_id.isprintable():
            return None
        allowed, rate_headers = self._rate.count(principal.token_id, time.time())
        if not allowed:
            return None
        self._guard.served(request.protocol)
        note("GET", kept.template, kept.status, time.perf_counter() - started, request_id)
        return b"".join((kept.head, self._own_lines(kept, body, request_id, rate_headers), *body))

    def _question(self, request: web.BaseRequest, now: datetime) -> tuple[Principal, Question] | None:
        """Who asks, and what; None for what always goes to its route."""
        headers = request.headers
        if request.method != "GET" or request.version != HttpVersion11 or not request.keep_alive or request.body_exists:
            return None
        kind, _, text = headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if kind.lower() != "bearer" or hdrs.COOKIE in headers or hdrs.EXPECT in headers or hdrs.UPGRADE in headers:
            return None
        principal = self._tokens.find(text.strip(), now=now)
        if principal is None:
            return None
        return principal, (request.raw_path, principal.token_id, headers.get(hdrs.ORIGIN), headers.get(hdrs.IF_NONE_MATCH))

    def _own_lines(self, kept: _Repeat, body: tuple[bytes, ...], request_id: str, rate_headers: dict[str, str]) -> bytes:
        second = int(time.time())
        if self._date[0] != second:
            self._date = second, formatdate(second, usegmt=True).encode()
        of_rate = "".join(f"{name}: {value}\r\n" for name, value in rate_headers.items()).encode() if rate_headers else b""
        length = b"" if kept.status == HTTPStatus.NOT_MODIFIED else b"Content-Length: %d\r\n" % sum(map(len, body))
        own = (length, of_rate, self._date[1], request_id.encode("utf-8", "surrogateescape"))
        return b"\r\n%s%sDate: %s\r\nX-Request-Id: %s\r\n\r\n" % own
