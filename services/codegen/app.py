"""Puts codegen together."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from services.codegen.api.pages.words import FILTERS
from services.codegen.api.routes import Handlers, api_routes, page_routes
from services.codegen.consumer import MarksAge, outcome_group
from services.codegen.domain.refusals import NotYet, Refused
from services.codegen.handlers.adopting import Adopted, Adoption, OnTopics
from services.codegen.handlers.announcing import Announcements
from services.codegen.handlers.audit import AuditHandlers
from services.codegen.handlers.batches import BatchHandlers, Minting
from services.codegen.handlers.campaigns import CampaignHandlers
from services.codegen.handlers.codes import CodeHandlers
from services.codegen.handlers.completeness import Completeness
from services.codegen.handlers.exports import ExportHandlers
from services.codegen.handlers.fixture_loading import FixtureLoading
from services.codegen.handlers.fixtures import dump
from services.codegen.handlers.keys import WrongKeys, check_keys
from services.codegen.handlers.loading import Loader, OnCpu
from services.codegen.handlers.marking import Marking
from services.codegen.handlers.overview import OverviewHandlers
from services.codegen.handlers.relaying import Relaying
from services.codegen.handlers.stores import StoreHandlers
from services.codegen.handlers.tokens import TokenHandlers, bootstrap
from services.codegen.handlers.voids import VoidHandlers
from services.codegen.jobs.relay import Relay
from services.codegen.jobs.sealing import seal_audit_log
from services.codegen.jobs.worker import Worker
from services.codegen.settings import CodegenSettings
from services.codegen.store.database import SCHEMA, Database, open_database
from shared.codes.key_ring import KeyRing
from shared.contracts.codec import Event, decoder
from shared.contracts.codegen import Batch, Campaign, Store, Token, Void
from shared.contracts.topics import BATCHES, CAMPAIGNS, STORES, TOKENS, VOIDS
from shared.environment import SettingsError, read_code_keys, read_settings
from shared.kafka.following import TopicFollower
from shared.kafka.groups import PartitionGroup
from shared.kafka.inspecting import LogInspector
from shared.kafka.publishing import Publisher
from shared.lifecycle import RunningService, background, is_unavailable
from shared.postgres.watching import DatabaseWatch
from shared.telemetry.readiness import Readiness
from shared.web.application import ServiceDescription, build_web_app, serving
from shared.web.pages import Pages
from shared.web.tokens import TokenDirectory

HERE: Final = Path(__file__).parent
MIGRATIONS: Final = HERE / "migrations"
TOKEN_READ_SECONDS: Final = 3.0
COMMAND_WAIT_SECONDS: Final = 5.0
"""How long a command waits for a Postgres that is away; a service waits for longer."""

DESCRIPTION: Final = ServiceDescription(
    title="Counterfoil codegen",
    description="Campaigns, stores, batches of codes and their register, voids, tokens and the audit log.",
    version="1",
)

__all__ = [
    "DESCRIPTION",
    "MIGRATIONS",
    "SCHEMA",
    "CodegenSettings",
    "Refused",
    "adopt_from_topics",
    "api_routes",
    "bootstrap_admin_token",
    "dump_fixtures",
    "fixture_loading",
    "rebuild_register_marks",
    "running",
]


@asynccontextmanager
async def running(settings: CodegenSettings, ring: KeyRing | None = None) -> AsyncIterator[RunningService]:
    """The service, answering at `url`. The key ring is the environment's unless one is given.

    Raises SettingsError when the key ring is not the one that the batches were made with.
    """
    ring = ring or read_code_keys()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(settings.database_url, connections=settings.codegen_database_connections)
        )
        await _check_keys(database, ring)
        publisher = await stack.enter_async_context(Publisher(settings.kafka))
        inspector = await stack.enter_async_context(LogInspector(settings.kafka))
        ends = await stack.enter_async_context(LogInspector(settings.kafka))
        on_cpu = stack.enter_context(cpu_thread())

        relay = Relay(database, Relaying(database, publisher), inspector)
        announcements = Announcements(database, nudge=relay.nudge, timeout_seconds=settings.codegen_acknowledge_seconds)
        marking = Marking(database)
        group = outcome_group(settings.kafka, marking)
        follower, tokens = _following_tokens(settings, announcements)
        marks = MarksAge(ends, marking.places)
        overview = OverviewHandlers(database, ends)
        completeness = Completeness(database, ends)
        handlers = _handlers(settings, database, ring, announcements, marks, overview, completeness, on_cpu)
        watch = DatabaseWatch(database.ping)
        readiness = _readiness(follower, relay, group, completeness, watch)
        app = _web_app(settings, handlers, tokens, readiness)
        url = await stack.enter_async_context(serving(app, host=settings.host, port=settings.port))
        tasks = {
            "tokens": follower.run,
            "relay": relay.run,
            "completeness": completeness.run,
            "outcomes": group.run,
            "worker": _worker(settings, database, ring, relay, handlers, on_cpu).run,
            "database": watch.run,
            "sealing": lambda: seal_audit_log(handlers.audit),
        }
        await stack.enter_async_context(background(tasks))
        yield RunningService(name=SCHEMA, url=url, readiness=readiness)


async def bootstrap_admin_token(settings: CodegenSettings | None = None) -> str:
    """The text of the first token (scopes admin and ops), made on codegen's database; a running codegen sends it.

    Raises Conflict when there is a valid admin token already.
    """
    settings = settings or read_settings(CodegenSettings)
    async with open_database(settings.database_url, connections=1) as database:
        made = await bootstrap(database, now=datetime.now(UTC))
    return made.token


async def rebuild_register_marks(settings: CodegenSettings | None = None) -> None:
    """Forgets which codes are marked as redeemed; a running codegen reads all outcomes again from their beginning."""
    settings = settings or read_settings(CodegenSettings)
    async with open_database(settings.database_url, connections=1, wait_seconds=COMMAND_WAIT_SECONDS) as database:
        await Marking(database).forget()


async def dump_fixtures(folder: Path, *, register: bool, new_codes: bool, settings: CodegenSettings | None = None) -> None:
    """Writes campaigns, stores, batches and voids, all as of one moment, into a folder that is there and empty."""
    settings = settings or read_settings(CodegenSettings)
    async with open_database(settings.database_url, connections=1, wait_seconds=COMMAND_WAIT_SECONDS) as database:
        await dump(database, folder, register=register, new_codes=new_codes)


@asynccontextmanager
async def fixture_loading(
    settings: CodegenSettings | None = None, ring: KeyRing | None = None
) -> AsyncIterator[FixtureLoading]:
    """Loads dumps into an empty system; a running codegen sends what the other services must learn of."""
    settings, ring = settings or read_settings(CodegenSettings), ring or read_code_keys()
    async with (
        open_database(settings.database_url, connections=2, wait_seconds=COMMAND_WAIT_SECONDS) as database,
        LogInspector(settings.kafka) as ends,
    ):
        announcements = Announcements(database, nudge=lambda: None, timeout_seconds=settings.codegen_acknowledge_seconds)
        completeness = Completeness(database, ends)
        await completeness.look()
        orders = BatchHandlers(database, announcements, _minting(settings, ring), completeness)
        with cpu_thread() as on_cpu:
            yield FixtureLoading(database, ring, orders, announcements, ends, on_cpu=on_cpu)


async def adopt_from_topics(settings: CodegenSettings | None = None, ring: KeyRing | None = None) -> Adopted:
    """After a back-up was put back: takes from the topics what was made since. Best before a codegen is started.

    Raises Conflict when serials were given away twice already.
    """
    settings, ring = settings or read_settings(CodegenSettings), ring or read_code_keys()
    async with (
        open_database(settings.database_url, connections=1, wait_seconds=COMMAND_WAIT_SECONDS) as database,
        LogInspector(settings.kafka) as log,
    ):
        found = OnTopics(
            campaigns=await _all_of(log, CAMPAIGNS.name, Campaign),
            stores=await _all_of(log, STORES.name, Store),
            batches=await _all_of(log, BATCHES.name, Batch),
            voids=await _all_of(log, VOIDS.name, Void),
            tokens=await _all_of(log, TOKENS.name, Token),
        )
        with cpu_thread() as on_cpu:
            return await Adoption(database, ring, on_cpu=on_cpu).adopt(found)


async def _all_of(log: LogInspector, topic: str, event: type[Event]) -> list[Event]:
    decode = decoder(event)
    return [
        decode(record.value)
        for partition in await log.ends(topic)
        async for record in log.read(topic, partition, 0)
        if record.value is not None
    ]


@contextmanager
def cpu_thread() -> Iterator[OnCpu]:
    """The one place for CPU work: a thread beside the event loop. numpy and AES let go of the interpreter meanwhile."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="codes")

    async def run(work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(executor, work)

    try:
        yield run
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _handlers(
    settings: CodegenSettings,
    database: Database,
    ring: KeyRing,
    announcements: Announcements,
    marks: MarksAge,
    overview: OverviewHandlers,
    completeness: Completeness,
    on_cpu: OnCpu,
) -> Handlers:
    codes = CodeHandlers(database, ring, marks_as_of=marks.as_of)
    return Handlers(
        campaigns=CampaignHandlers(database, announcements),
        stores=StoreHandlers(database, announcements),
        batches=BatchHandlers(database, announcements, _minting(settings, ring), completeness),
        exports=ExportHandlers(database, ring, on_cpu=on_cpu),
        voids=VoidHandlers(database, announcements, marks_current=marks.current),
        codes=codes,
        tokens=TokenHandlers(database, announcements),
        audit=AuditHandlers(database),
        overview=overview,
    )


def _web_app(settings: CodegenSettings, handlers: Handlers, tokens: TokenDirectory, readiness: Readiness) -> web.Application:
    pages = Pages(HERE / "web", filters=FILTERS)
    return build_web_app(
        DESCRIPTION,
        [*api_routes(handlers, tokens), *page_routes(handlers, pages, tokens)],
        tokens=tokens,
        readiness=readiness,
        unavailable=is_unavailable,
        pages=pages,
        requests_a_minute=settings.http_requests_a_minute,
    )


def _minting(settings: CodegenSettings, ring: KeyRing) -> Minting:
    return Minting(ring=ring, words=settings.codegen_words, least_guesses_per_hit=settings.codegen_least_guesses_per_hit)


async def _check_keys(database: Database, ring: KeyRing) -> None:
    try:
        await check_keys(database, ring)
    except WrongKeys as error:
        raise SettingsError(f"CODE_KEYS_FILE: {error}") from None


def _worker(
    settings: CodegenSettings, database: Database, ring: KeyRing, relay: Relay, handlers: Handlers, on_cpu: OnCpu
) -> Worker:
    dead_after = settings.codegen_worker_dead_after_seconds
    loader = Loader(database, ring, on_cpu=on_cpu, nudge=relay.nudge, dead_after_seconds=dead_after)
    return Worker(loader, handlers.batches)


def _following_tokens(settings: CodegenSettings, announcements: Announcements) -> tuple[TopicFollower, TokenDirectory]:
    tokens = TokenDirectory(
        refresh=lambda: _read_tokens(follower, announcements), age_seconds=lambda: follower.seconds_since_end(TOKENS.name)
    )
    follower = TopicFollower(settings.kafka, {TOKENS.name: tokens.apply})
    return follower, tokens


async def _read_tokens(follower: TopicFollower, announcements: Announcements) -> None:
    """A token that is unknown may still be in the outbox: the first one is made while no codegen runs."""
    async with asyncio.timeout(TOKEN_READ_SECONDS):
        with suppress(NotYet):
            await announcements.wait_topic(TOKENS.name)
        await follower.read_to_end(TOKENS.name, as_of=time.monotonic())


def _readiness(
    follower: TopicFollower, relay: Relay, group: PartitionGroup, completeness: Completeness, database: DatabaseWatch
) -> Readiness:
    readiness = Readiness()
    readiness.add(
        "tokens", lambda: None if follower.seconds_since_end() < 30 else "tokens have not been read to their end lately"
    )
    readiness.add("relay", relay.problem)
    readiness.add("register", completeness.problem)
    readiness.add("outcomes", lambda: "; ".join(str(stop) for stop in group.stopped.values()) or None)
    readiness.add("postgres", database.problem)
    return readiness
