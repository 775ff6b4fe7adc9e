"""Saying what is being done, and how long it took."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WIDTH = 12


class Progress:
    """Prints a line per step: what it is about, what was done, the seconds. A step that does nothing slow prints one line."""

    def __init__(self, write: Callable[[str], object] = sys.stdout.write) -> None:
        self._write = write
        self._started = time.monotonic()

    @contextmanager
    def step(self, name: str) -> Iterator["Step"]:
        """A step; `done` of what it gives says how it went."""
        step = Step(name, self._line)
        yield step
        step.finish()

    def line(self, name: str, text: str) -> None:
        """A line of its own."""
        self._line(name, text)

    @property
    def seconds(self) -> float:
        """Since the first line."""
        return time.monotonic() - self._started

    def _line(self, name: str, text: str) -> None:
        self._write(f"{name:<{WIDTH}} {text}\n")
        sys.stdout.flush()


class Step:
    """One step under way."""

    def __init__(self, name: str, line: Callable[[str, str], None]) -> None:
        self._name = name
        self._line = line
        self._started = time.monotonic()
        self._result = "ready"

    def say(self, text: str) -> None:
        """What is being done now and takes a while."""
        self._line(self._name, f"{text} …")

    def done(self, text: str) -> None:
        """How it went, printed with the seconds at the end of the step."""
        self._result = text

    def finish(self) -> None:
        self._line(self._name, f"{self._result} ({time.monotonic() - self._started:.1f} s)")
