"""Waiting for what happens elsewhere: by polling with a deadline, never by a fixed sleep."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Value = TypeVar("Value")


@overload
async def poll_until(
    condition: Callable[[], Awaitable[Value]], deadline_seconds: float = ..., *, every_seconds: float = ..., what: str = ...
) -> Value: ...
@overload
async def poll_until(
    condition: Callable[[], Value], deadline_seconds: float = ..., *, every_seconds: float = ..., what: str = ...
) -> Value: ...
async def poll_until(
    condition: Callable[[], Any],
    deadline_seconds: float = 20.0,
    *,
    every_seconds: float = 0.05,
    what: str = "the condition",
) -> Any:
    """Calls the condition (sync or async) until what it gives is true, and returns that.

    Raises AssertionError with the last value when the deadline passes; errors of the condition pass through.
    """
    deadline = time.monotonic() + deadline_seconds
    while True:
        answer = condition()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true in {deadline_seconds} s; at last it gave {value!r}"
        await asyncio.sleep(every_seconds)


def wait_until(condition: Callable[[], bool], deadline_seconds: float = 20.0, *, what: str = "the condition") -> None:
    """`poll_until` for code that runs in no event loop, or may not give it up."""
    deadline = time.monotonic() + deadline_seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true in {deadline_seconds} s"
        time.sleep(0.05)
