"""How a service starts, runs and ends: settings, logs, background tasks, signals."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog
import uvloop

from shared.environment import ServiceSettings, SettingsError, read_settings
from shared.kafka.errors import Retryable
from shared.postgres.errors import is_retryable
from shared.telemetry.logs import configure_logs
from shared.telemetry.readiness import Readiness
from shared.telemetry.traces import configure_traces, end_traces

EXIT_SETTINGS: Final = 2
EXIT_FAILED: Final = 1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningService:
    """A service that answers at `url`. Given by every `app.running`, to `__main__` and to tests alike."""

    name: str
    url: str
    readiness: Readiness


Settings = TypeVar("Settings", bound=ServiceSettings)
Running = Callable[[Settings], AbstractAsyncContextManager[RunningService]]


def run_service(name: str, settings_type: type[Settings], running: Running[Settings]) -> None:
    """Runs a service until SIGTERM or SIGINT, then ends it in order; does not return.

    Exit status: 0 after a signal, 2 when the settings are wrong (each problem on a line), 1 when the service failed.
    """
    try:
        settings = read_settings(settings_type)
    except SettingsError as error:
        print(f"{name} cannot start:\n{error}", file=sys.stderr)  # noqa: T201 (before there is a log)
        sys.exit(EXIT_SETTINGS)
    configure_logs(service=name, level=settings.log_level, log_format=settings.log_format)
    try:
        configure_traces(name)
    except ImportError as error:
        print(f"{name} cannot start:\n{error}", file=sys.stderr)  # noqa: T201 (the sentence itself is what helps)
        sys.exit(EXIT_SETTINGS)
    status = uvloop.run(_run(name, settings, running))
    end_traces()
    sys.exit(status)


@asynccontextmanager
async def background(tasks: Mapping[str, Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Runs named tasks beside the body and cancels them after it. One that fails ends the body, and the process, loudly."""

    async def run(task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except asyncio.CancelledError as error:
            current = asyncio.current_task()
            if current is None or current.cancelling():
                raise
            message = "a background task was cancelled from within; a task group would let it pass in silence"
            raise RuntimeError(message) from error

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(run(task), name=name) for name, task in tasks.items()]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


def is_unavailable(error: BaseException) -> bool:
    """Whether an error means that Kafka or Postgres is away: the caller may try again."""
    return isinstance(error, Retryable) or is_retryable(error)


async def _run(name: str, settings: Settings, running: Running[Settings]) -> int:
    ending, started = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    body = asyncio.create_task(_serve_until(ending, started, settings, running), name=name)
    waiting = asyncio.create_task(ending.wait())
    await asyncio.wait({body, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not started.is_set():
        body.cancel()
    waiting.cancel()
    try:
        await body
    except asyncio.CancelledError:
        return 0
    except SettingsError as error:
        print(f"{name} cannot start:\n{error}", file=sys.stderr)  # noqa: T201 (the sentence itself is what helps)
        return EXIT_SETTINGS
    except BaseExceptionGroup as group:
        for failure in _leaves(group):
            log.error("service failed", error=f"{type(failure).__name__}: {failure}", exc_info=failure)
        return EXIT_FAILED
    except Exception as error:
        log.exception("service failed", error=f"{type(error).__name__}: {error}")
        return EXIT_FAILED
    log.info("service ended")
    return 0


async def _serve_until(ending: asyncio.Event, started: asyncio.Event, settings: Settings, running: Running[Settings]) -> None:
    async with running(settings) as service:
        started.set()
        log.info("service runs", url=service.url)
        await ending.wait()
        log.info("service is ending")


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
