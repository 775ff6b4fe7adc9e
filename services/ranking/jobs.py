"""What runs by itself: making the boards again after changes, certifying, telling standings; and when ranking is ready."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import structlog

from services.ranking.handlers.boards import Boards
from services.ranking.handlers.certification import Certificates, Certifier
from services.ranking.handlers.standings import StandingsPublisher
from shared.kafka.errors import Retryable
from shared.kafka.following import TopicFollower
from shared.kafka.groups import PartitionGroup
from shared.lifecycle import is_unavailable
from shared.postgres.watching import DatabaseWatch
from shared.telemetry import metrics
from shared.telemetry.readiness import Readiness

IDLE_REFRESH_SECONDS: Final = 5.0
"""Without changes the boards are made again this often: a day may have ended."""

REST_FACTOR: Final = 2.0
"""A refresh is followed by at least this many times its own duration for everything else."""

STANDINGS_SECONDS: Final = 1.0
LATE_SECONDS: Final = 30.0

log = structlog.get_logger(__name__)
REFRESH: Final = metrics.seconds("ranking_refresh_seconds", "Making the boards again after changes")
BOARD_AGE: Final = metrics.gauge("ranking_board_age_seconds", "How old the boards are that are answered from")


async def refresh_boards(boards: Boards, interval_seconds: float) -> None:
    """Refreshes as soon as something changed, but at most once an interval, until it is cancelled."""
    BOARD_AGE.set_function(lambda: _age_seconds(boards))
    rested_at = time.monotonic()
    while True:
        await boards.wait_changed(IDLE_REFRESH_SECONDS)
        await asyncio.sleep(rested_at - time.monotonic())
        started = time.monotonic()
        boards.refresh(datetime.now(UTC))
        took = time.monotonic() - started
        REFRESH.observe(took)
        rested_at = started + max(interval_seconds, (1 + REST_FACTOR) * took)


def _age_seconds(boards: Boards) -> float:
    now = datetime.now(UTC)
    return (now - boards.as_of(now)).total_seconds()


async def certify_regularly(
    certifier: Certifier, certificates: Certificates, *, leads: Callable[[], bool], interval_seconds: float
) -> None:
    """Learns of certificates, and in the copy that leads certifies what is due, until it is cancelled."""
    while True:
        try:
            await certificates.learn()
            if leads() and await certifier.certify_due(datetime.now(UTC)):
                await certificates.learn()
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("certification waits", error=str(error))
        await asyncio.sleep(interval_seconds)


async def publish_standings(standings: StandingsPublisher, *, leads: Callable[[], bool]) -> None:
    """Publishes rank changes at most once a second, in the copy that leads, until it is cancelled."""
    while True:
        await asyncio.sleep(STANDINGS_SECONDS)
        if not leads():
            standings.forget()
            continue
        try:
            await standings.publish_changes()
        except Retryable as error:
            log.warning("standings wait", error=str(error))


def watch_readiness(
    readiness: Readiness,
    *,
    boards: Boards,
    reference: TopicFollower,
    group: PartitionGroup,
    database: DatabaseWatch,
) -> None:
    """Adds what ranking needs to be ready: fresh topics, no partition that stopped, and Postgres."""
    readiness.add("reference", lambda: _late("campaigns, stores and tokens were", reference.seconds_since_end()))
    readiness.add("outcomes", lambda: _late("outcomes were", boards.seconds_since_end()))
    readiness.add("boards", lambda: _stopped("the boards have stopped at a gap", boards.stopped))
    readiness.add("fold", lambda: _stopped("the fold has stopped", group.stopped))
    readiness.add("postgres", database.problem)


def _late(what: str, seconds: float) -> str | None:
    return None if seconds <= LATE_SECONDS else f"{what} last read to the end {seconds:.0f} s ago"


def _stopped(what: str, partitions: Mapping[int, Exception]) -> str | None:
    return "; ".join(f"{what} on partition {p}: {error}" for p, error in sorted(partitions.items())) or None
