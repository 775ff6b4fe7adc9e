"""Limits on what a caller may take of us: time for a request's head and body, and requests a minute."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

LOOK_SECONDS: Final = 1.0
HEAD_SECONDS: Final = 90.0
"""From an answer to the next request's whole head. Above the 75 s that an idle connection is kept."""

FIRST_HEAD_SECONDS: Final = 15.0
BODY_GRACE_SECONDS: Final = 10.0
LEAST_BODY_BYTES_A_SECOND: Final = 1_000
STUCK_SECONDS: Final = 60.0
"""A client that takes nothing of its answer for this long is let go of, with whatever its answer holds."""

WINDOW_SECONDS: Final = 60
POLICY: Final = "caller"

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class _Seen:
    since: float
    served: bool = False
    request: web.Request | None = None
    unsent: int = 0
    unsent_since: float = 0.0


class ConnectionGuard:
    """Closes connections of clients that send too slowly or stopped taking; what they asked for ends as if they had left."""

    def __init__(
        self, *, first_head_seconds: float = FIRST_HEAD_SECONDS, body_grace_seconds: float = BODY_GRACE_SECONDS
    ) -> None:
        self._first_head_seconds = first_head_seconds
        self._body_grace_seconds = body_grace_seconds
        self._seen: dict[Any, _Seen] = {}

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The middleware that tells which connections are at work."""
        seen = self._seen.setdefault(request.protocol, _Seen(since=time.monotonic()))
        seen.since, seen.request = time.monotonic(), request
        try:
            return await handler(request)
        finally:
            seen.since, seen.request, seen.served = time.monotonic(), None, True

    def served(self, protocol: Any) -> None:
        """Notes a request that was taken and answered at once, without the middleware."""
        seen, now = self._seen.get(protocol), time.monotonic()
        if seen is None:
            seen = self._seen[protocol] = _Seen(since=now)
        seen.since, seen.served = now, True

    async def run(self, server: web.Server) -> None:
        """Looks at every connection once a second until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look(server.connections, time.monotonic())

    def look(self, connections: list[Any], now: float) -> None:
        """Closes what is too slow. A request that was taken as a whole may take as long as it likes."""
        self._seen = {c: self._seen.get(c) or _Seen(since=now) for c in connections}
        for connection, seen in self._seen.items():
            reason = self._too_slow(connection.transport, seen, now)
            if reason is not None and connection.transport is not None:
                log.info("slow client is let go of", reason=reason)
                connection.transport.abort()

    def _too_slow(self, transport: Any, seen: _Seen, now: float) -> str | None:
        unsent = transport.get_write_buffer_size() if transport is not None else 0
        if not unsent or unsent != seen.unsent:
            seen.unsent, seen.unsent_since = unsent, now
        elif now - seen.unsent_since > STUCK_SECONDS:
            return "takes nothing of its answer"
        seconds = now - seen.since
        if seen.request is None:
            return "sends no request" if seconds > (HEAD_SECONDS if seen.served else self._first_head_seconds) else None
        content = seen.request.content
        allowed = self._body_grace_seconds + content.total_bytes / LEAST_BODY_BYTES_A_SECOND
        return "sends its body too slowly" if not content.is_eof() and seconds > allowed else None


@dataclass(slots=True)
class RateLimit:
    """Requests a minute of each caller, counted by this process in windows of a minute. No limit where there is none."""

    requests_a_minute: int | None
    _window: int = 0
    _counts: dict[str, int] = field(default_factory=dict)

    def count(self, caller: str, now: float) -> tuple[bool, dict[str, str]]:
        """Counts a request: whether it may go on, and the RateLimit headers (draft-ietf-httpapi-ratelimit-headers)."""
        if self.requests_a_minute is None:
            return True, {}
        window = int(now // WINDOW_SECONDS)
        if window != self._window:
            self._window, self._counts = window, {}
        count = self._counts[caller] = self._counts.get(caller, 0) + 1
        left, wait = max(0, self.requests_a_minute - count), int((window + 1) * WINDOW_SECONDS - now) + 1
        headers = {
            "RateLimit-Policy": f'"{POLICY}";q={self.requests_a_minute};w={WINDOW_SECONDS}',
            "RateLimit": f'"{POLICY}";r={left};t={wait}',
        }
        if count <= self.requests_a_minute:
            return True, headers
        return False, {**headers, "Retry-After": str(wait)}
