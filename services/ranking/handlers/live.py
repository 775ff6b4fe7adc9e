"""The live board: one rendering for all who listen to the same board, at most once a second and only when it changed."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Final

from services.ranking.handlers.answers import Answers, UnknownName, Wanted, WrongValue
from services.ranking.handlers.rendering import Rendered, freshness

LOOK_SECONDS: Final = 0.2
"""Also without a refresh is looked this often: a change may have come too soon after another to be told at once."""

CHANGE_SECONDS: Final = 1.0
FRESH_SECONDS: Final = 5.0

ChannelKey = tuple[Wanted, int, int]


class Channel:
    """One board that some listen to: its newest event, and a bell for all of them. A slow listener skips what it missed."""

    def __init__(self) -> None:
        self.rendered: Rendered | None = None
        self.event = b""
        self.fresh = b""
        self.fresh_number = 0
        self.closed = False
        self.listeners = 0
        self.changed_at = float("-inf")
        self._bell = asyncio.Event()

    @property
    def version(self) -> str:
        return self.rendered.version if self.rendered is not None else ""

    def show(self, rendered: Rendered, event: bytes) -> None:
        self.rendered, self.event, self.changed_at = rendered, event, time.monotonic()
        self.ring()

    def show_fresh(self, text: bytes) -> None:
        self.fresh = b"event: fresh\ndata: {%s}\n\n" % text
        self.fresh_number += 1
        self.ring()

    def close(self) -> None:
        self.closed = True
        self.ring()

    def ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    async def events(self, seen_version: str, event_now: Callable[[Rendered], bytes]) -> AsyncGenerator[bytes, None]:
        """The events for a listener that has seen a version (empty: none), until the channel closes.

        The board that a new listener begins with may have changed long ago; `event_now` writes how fresh it is by now.
        """
        seen_fresh = self.fresh_number
        if self.rendered is not None and self.version != seen_version and not self.closed:
            seen_version = self.version
            yield event_now(self.rendered)
        while not self.closed:
            if self.version != seen_version and self.version:
                seen_version = self.version
                yield self.event
            elif self.fresh_number != seen_fresh:
                seen_fresh = self.fresh_number
                yield self.fresh
            else:
                await self._bell.wait()


class LiveBoards:
    """The channels of all boards that someone listens to. `run` looks for changes, after every refresh of the boards."""

    def __init__(self, answers: Answers, wait_refreshed: Callable[[float], Awaitable[None]]) -> None:
        self._answers = answers
        self._wait_refreshed = wait_refreshed
        self._channels: dict[ChannelKey, Channel] = {}
        self._closed = False

    @property
    def listeners(self) -> int:
        return sum(channel.listeners for channel in self._channels.values())

    async def listen(self, wanted: Wanted, *, offset: int, limit: int, last_version: str) -> AsyncGenerator[bytes, None]:
        """Events of a board, ready to be written. Nothing is sent for the version that the listener has already."""
        key = (wanted, offset, limit)
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel()
            self._look(key, channel)
        channel.listeners += 1
        channel.closed = self._closed
        try:
            async with aclosing(channel.events(last_version, self._event_now)) as events:
                async for event in events:
                    yield event
        finally:
            channel.listeners -= 1
            if not channel.listeners and self._channels.get(key) is channel:
                del self._channels[key]

    async def run(self) -> None:
        """Looks for changes until it is cancelled; then the listeners' streams end."""
        fresh_at = time.monotonic()
        try:
            while True:
                await self._wait_refreshed(LOOK_SECONDS)
                for key, channel in list(self._channels.items()):
                    if time.monotonic() - channel.changed_at >= CHANGE_SECONDS:
                        self._look(key, channel)
                if time.monotonic() - fresh_at >= FRESH_SECONDS:
                    fresh_at = time.monotonic()
                    self._tell_freshness()
        finally:
            self._closed = True
            for channel in self._channels.values():
                channel.close()

    def _look(self, key: ChannelKey, channel: Channel) -> None:
        wanted, offset, limit = key
        now = datetime.now(UTC)
        with suppress(UnknownName, WrongValue):
            rendered = self._answers.leaderboard(wanted, offset=offset, limit=limit, now=now)
            if rendered.version != channel.version:
                channel.show(rendered, self._event_now(rendered))

    def _event_now(self, rendered: Rendered) -> bytes:
        now = datetime.now(UTC)
        body = rendered.at(self._answers.as_of(now), now)
        return b"event: leaderboard\nid: %s\ndata: %s\n\n" % (rendered.version.encode(), body)

    def _tell_freshness(self) -> None:
        now = datetime.now(UTC)
        text = freshness(self._answers.as_of(now), now)
        for channel in self._channels.values():
            channel.show_fresh(text)
