"""The parts of the redemption service and how they hang together."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aiohttp import web

from services.redemption.api.routes import Api
from services.redemption.api.xml_rpc import XmlRpc
from services.redemption.consumer import outcomes_follower, reference_follower, request_group
from services.redemption.domain.budgets import Budgets
from services.redemption.domain.catalogue import Catalogue
from services.redemption.domain.places import StoredOutcomes
from services.redemption.handlers.asking import Asking
from services.redemption.handlers.codes import CodeReader
from services.redemption.handlers.dead_letters import DeadLetters
from services.redemption.handlers.deciding import Deciding
from services.redemption.handlers.fixtures import CannotLoad, LedgerFixtures
from services.redemption.handlers.partition_loop import PartitionLoop
from services.redemption.handlers.positions import NothingToMend, Positions
from services.redemption.handlers.reading import Understanding
from services.redemption.handlers.references import Freshness, reference_topics
from services.redemption.handlers.synchronous import OutcomeWaiters, Submitting
from services.redemption.jobs import forget_old_attempts, stop_following_when_idle, watch_breakers
from services.redemption.settings import RedemptionSettings
from services.redemption.store.errors import PlaceLost
from services.redemption.store.fixtures import LedgerFiles, UnreadableLedger
from services.redemption.store.lookups import Lookups
from services.redemption.store.mending import Mending
from services.redemption.store.pools import SCHEMA, LedgerPool, open_ledger
from shared.codes.key_ring import KeyRing
from shared.contracts.topics import TOKENS
from shared.environment import KafkaConnection, read_code_keys, read_settings
from shared.kafka.following import TopicFollower
from shared.kafka.groups import PartitionGroup
from shared.kafka.inspecting import LogInspector
from shared.kafka.publishing import Publisher
from shared.lifecycle import RunningService, background, is_unavailable, run_service
from shared.postgres.watching import DatabaseWatch
from shared.telemetry.readiness import Readiness
from shared.web.application import ServiceDescription, build_web_app, serving
from shared.web.pages import Pages
from shared.web.routes import Route
from shared.web.tokens import TokenDirectory

__all__ = [
    "MIGRATIONS",
    "SCHEMA",
    "CannotLoad",
    "NothingToMend",
    "PlaceLost",
    "RedemptionSettings",
    "UnreadableLedger",
    "api_routes",
    "dead_letters",
    "dump_ledger",
    "ledger_fixtures",
    "main",
    "positions",
    "running",
]

Task = Callable[[], Awaitable[None]]

HERE: Final = Path(__file__).parent
MIGRATIONS: Final = HERE / "migrations"
CONNECTIONS: Final = 40
"""One a partition of this copy, and some for HTTP; opened when they are needed."""

YOUNG_VALUES: Final = 100_000
"""A batch makes tens of thousands of values that end with it: looking for cycles after every 700 of them, as Python does, costs
a quarter of the deciding."""

STALE_REFERENCES_SECONDS: Final = 5.0
TOKEN_READ_SECONDS: Final = 3.0
COMMAND_WAIT_SECONDS: Final = 5.0
"""How long a command waits for a Postgres that is away; the service waits for longer."""

DESCRIPTION: Final = ServiceDescription(
    title="Counterfoil redemption",
    description="Redeems promo codes for games, each exactly once. Platforms with Kafka write to `game.redemptions.v1`.",
    version="1",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Knowledge:
    """What every part asks: reference data, keys, tokens, and how fresh they are."""

    catalogue: Catalogue
    codes: CodeReader
    tokens: TokenDirectory
    follower: TopicFollower
    freshness: Freshness


def main() -> None:
    """Runs the service until it is told to end."""
    gc.set_threshold(YOUNG_VALUES, 20, 50)
    run_service(SCHEMA, RedemptionSettings, running)


def api_routes(api: Api, xml_rpc: XmlRpc) -> list[Route]:
    """The route table."""
    return [*api.routes(), xml_rpc.route()]


@asynccontextmanager
async def running(settings: RedemptionSettings) -> AsyncIterator[RunningService]:
    """The service, deciding and answering at `url`. Ends in order when the block is left: callers, loops, the rest."""
    kafka = settings.kafka
    knowledge = _knowledge(kafka)
    async with (
        open_ledger(settings.database_url, max_size=CONNECTIONS) as ledger,
        Publisher(kafka) as outcomes_publisher,
        Publisher(kafka) as requests_publisher,
        LogInspector(kafka) as inspector,
        background({"reference data": knowledge.follower.run}),
    ):
        await ledger.check_durability()
        await knowledge.follower.wait_loaded()
        waiters = OutcomeWaiters(lambda arrived: outcomes_follower(kafka, arrived))
        loop = _loop(
            settings, knowledge, ledger, inspector=inspector, publisher=outcomes_publisher, published=waiters.published
        )
        group = request_group(kafka, loop, session_timeout_milliseconds=settings.redemption_session_timeout_milliseconds)
        lookups = Lookups(ledger.pool)
        submitting = Submitting(requests_publisher, waiters, wait_seconds=settings.redemption_outcome_wait_seconds)
        database = DatabaseWatch(lookups.ping)
        readiness = _readiness(knowledge.follower, group, database)
        web_app = _web_app(settings, knowledge, lookups, submitting=submitting, readiness=readiness)
        async with (
            background({"database": database.run, **_tasks(group, lookups, waiters, _budgets(settings))}),
            waiters,
            serving(web_app, host=settings.host, port=settings.port) as url,
        ):
            yield RunningService(name=SCHEMA, url=url, readiness=readiness)


@asynccontextmanager
async def positions(kafka: KafkaConnection, database_url: str) -> AsyncIterator[Positions]:
    """The operators' commands on places. They may run beside the service."""
    async with (
        open_ledger(database_url, max_size=2, wait_seconds=COMMAND_WAIT_SECONDS) as ledger,
        Publisher(kafka) as publisher,
        LogInspector(kafka) as inspector,
    ):
        yield Positions(Mending(ledger.pool), inspector, publisher)


@asynccontextmanager
async def dead_letters(kafka: KafkaConnection) -> AsyncIterator[DeadLetters]:
    """The operators' commands on dead letters."""
    async with Publisher(kafka) as publisher, LogInspector(kafka) as inspector:
        yield DeadLetters(inspector, publisher)


async def dump_ledger(folder: Path, settings: RedemptionSettings | None = None) -> None:
    """Writes the ledger, as of one moment, into a folder that is there."""
    settings = settings or read_settings(RedemptionSettings)
    async with open_ledger(settings.database_url, max_size=1, wait_seconds=COMMAND_WAIT_SECONDS) as ledger:
        await LedgerFiles(ledger.pool).dump(folder)


@asynccontextmanager
async def ledger_fixtures(
    settings: RedemptionSettings | None = None, keys: KeyRing | None = None
) -> AsyncIterator[LedgerFixtures]:
    """Loads a dumped ledger into an empty system. May run beside the service."""
    settings, keys = settings or read_settings(RedemptionSettings), keys or read_code_keys()
    async with (
        open_ledger(settings.database_url, max_size=2, wait_seconds=COMMAND_WAIT_SECONDS) as ledger,
        Publisher(settings.kafka) as publisher,
        LogInspector(settings.kafka) as inspector,
    ):
        yield LedgerFixtures(LedgerFiles(ledger.pool), Mending(ledger.pool), inspector, publisher, keys)


def now() -> datetime:
    return datetime.now(UTC)


def _loop(
    settings: RedemptionSettings,
    knowledge: _Knowledge,
    ledger: LedgerPool,
    *,
    inspector: LogInspector,
    publisher: Publisher,
    published: Callable[[StoredOutcomes], None],
) -> PartitionLoop:
    return PartitionLoop(
        ledgers=ledger,
        inspector=inspector,
        publisher=publisher,
        freshness=knowledge.freshness,
        understanding=Understanding(knowledge.codes, knowledge.catalogue),
        deciding=Deciding(knowledge.catalogue, _budgets(settings), now=now),
        published=published,
        now=now,
        batch_records=settings.redemption_batch_records,
        pace_seconds=settings.redemption_pace_milliseconds / 1000,
    )


def _web_app(
    settings: RedemptionSettings, knowledge: _Knowledge, lookups: Lookups, *, submitting: Submitting, readiness: Readiness
) -> web.Application:
    budgets = _budgets(settings)
    asking = Asking(lookups, knowledge.codes, knowledge.catalogue, knowledge.freshness, budgets, now=now)
    xml_rpc = XmlRpc(submitting, asking, knowledge.tokens, unavailable=is_unavailable)
    return build_web_app(
        DESCRIPTION,
        api_routes(Api(submitting=submitting, asking=asking), xml_rpc),
        tokens=knowledge.tokens,
        readiness=readiness,
        unavailable=is_unavailable,
        pages=Pages(HERE / "web"),
        requests_a_minute=settings.http_requests_a_minute,
    )


def _tasks(group: PartitionGroup, lookups: Lookups, waiters: OutcomeWaiters, budgets: Budgets) -> Mapping[str, Task]:
    """What runs by itself beside the callers."""
    return {
        "requests": group.run,
        "old attempts": lambda: forget_old_attempts(lookups),
        "breakers": lambda: watch_breakers(lookups, budgets),
        "idle followers": lambda: stop_following_when_idle(waiters),
    }


def _budgets(settings: RedemptionSettings) -> Budgets:
    return Budgets(
        attempts_per_minute=settings.redemption_attempts_per_minute,
        attempts_per_day=settings.redemption_attempts_per_day,
        breaker_requests=settings.redemption_breaker_requests,
        global_breaker_requests=settings.redemption_global_breaker_requests,
    )


def _knowledge(kafka: KafkaConnection) -> _Knowledge:
    catalogue = Catalogue()
    codes = CodeReader(read_code_keys(), catalogue)
    tokens = TokenDirectory(refresh=lambda: _read_tokens(follower), age_seconds=lambda: follower.seconds_since_end(TOKENS.name))
    follower = reference_follower(kafka, {**reference_topics(catalogue, codes), TOKENS.name: tokens.apply})
    return _Knowledge(catalogue=catalogue, codes=codes, tokens=tokens, follower=follower, freshness=Freshness(follower))


async def _read_tokens(follower: TopicFollower) -> None:
    async with asyncio.timeout(TOKEN_READ_SECONDS):
        await follower.read_to_end(TOKENS.name, as_of=time.monotonic())


def _readiness(follower: TopicFollower, group: PartitionGroup, database: DatabaseWatch) -> Readiness:
    readiness = Readiness()

    def reference() -> str | None:
        age = follower.seconds_since_end()
        return f"reference data was last complete {age:.0f} s ago" if age > STALE_REFERENCES_SECONDS else None

    def partitions() -> str | None:
        stopped = group.stopped
        return "; ".join(f"partition {p} stopped: {stop}" for p, stop in sorted(stopped.items())) or None

    readiness.add("reference", reference)
    readiness.add("partitions", partitions)
    readiness.add("postgres", database.problem)
    return readiness
