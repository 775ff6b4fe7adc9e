"""Whether Postgres answers, for readiness: an idle service would not notice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from shared.postgres.errors import is_retryable

LOOK_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 5.0


class DatabaseWatch:
    """Knows whether Postgres answered lately. `meanwhile`: what goes on without it."""

    def __init__(self, ping: Callable[[], Awaitable[object]], *, meanwhile: str = "") -> None:
        self._ping = ping
        self._meanwhile = f"; {meanwhile}" if meanwhile else ""
        self._problem: str | None = None

    async def run(self) -> None:
        """Asks every two seconds until it is cancelled. A question that gets no answer is waited for: a problem meanwhile."""
        while True:
            asking = asyncio.ensure_future(self._ping())
            try:
                if not (await asyncio.wait({asking}, timeout=ANSWER_SECONDS))[0]:
                    self._problem = self._says("no answer in time")
                await asking
                self._problem = None
            except Exception as error:
                if not is_retryable(error):
                    raise
                self._problem = self._says(type(error).__name__)
            finally:
                asking.cancel()
            await asyncio.sleep(LOOK_SECONDS)

    def _says(self, why: str) -> str:
        return f"Postgres does not answer ({why}){self._meanwhile}"

    def problem(self) -> str | None:
        return self._problem
