"""Puts the ranking service together, and what the command line asks of it."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from aiohttp import web

from services.ranking.api.boards import RankingApi
from services.ranking.api.cors import allow_origins
from services.ranking.api.pages import Portal
from services.ranking.api.routes import routes
from services.ranking.consumer import OutcomeFold, OutcomesIntoMemory, learn_campaigns, outcome_group, reference_topics
from services.ranking.domain.calendar import EPOCH, Window
from services.ranking.handlers import recounting
from services.ranking.handlers.answers import Answers
from services.ranking.handlers.boards import Boards
from services.ranking.handlers.certification import Certificates, Certifier
from services.ranking.handlers.certified_answers import CertifiedAnswers
from services.ranking.handlers.folding import Folder
from services.ranking.handlers.live import LiveBoards
from services.ranking.handlers.recounting import CannotRecount, Rebuilt, Verification
from services.ranking.handlers.standings import StandingsPublisher
from services.ranking.jobs import certify_regularly, publish_standings, refresh_boards, watch_readiness
from services.ranking.settings import RankingSettings
from services.ranking.store.certificates import CertificateStore
from services.ranking.store.rebuilding import RebuildRunning, RebuildStore
from services.ranking.store.scores import ScoreStore
from shared.contracts.topics import CAMPAIGNS, TOKENS
from shared.kafka.following import TopicFollower
from shared.kafka.groups import PartitionGroup
from shared.kafka.inspecting import LogInspector
from shared.kafka.publishing import Publisher
from shared.lifecycle import RunningService, background, is_unavailable, run_service
from shared.postgres.connections import open_pool
from shared.postgres.watching import DatabaseWatch
from shared.telemetry.readiness import Readiness
from shared.web.application import ServiceDescription, build_web_app, serving
from shared.web.pages import Pages
from shared.web.tokens import TokenDirectory

__all__ = ["CannotRecount", "RankingSettings", "RebuildRunning", "main", "rebuild", "running", "verify_certificate"]

SCHEMA: Final = "ranking"
WEB: Final = Path(__file__).parent / "web"
TOKEN_READ_SECONDS: Final = 3.0
KAFKA_SECONDS: Final = 30.0
"""How long the command line waits for the campaigns' topic; the service itself waits for ever."""

LEADING_PARTITION: Final = 0
"""The copy that has this partition certifies and publishes standings; two that think so for a moment do no harm."""

YOUNG_VALUES: Final = 20_000
"""A batch makes thousands of values that live until it is counted; to look for garbage at every 700, as Python does, costs a
quarter of the counting."""

DESCRIPTION: Final = ServiceDescription(
    title="Counterfoil ranking",
    description="Live boards of a campaign's stores: day, ISO week, month, all-time; overall, by region, chain and peers.",
    version="1",
)


def main() -> None:
    """Runs one copy until SIGTERM."""
    gc.set_threshold(YOUNG_VALUES, 20, 50)
    run_service("ranking", RankingSettings, running)


@asynccontextmanager
async def running(settings: RankingSettings) -> AsyncIterator[RunningService]:
    """The service, answering once its boards are loaded."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(settings.database_url, schema=SCHEMA))
        publisher = await stack.enter_async_context(Publisher(settings.kafka))
        inspector = await stack.enter_async_context(LogInspector(settings.kafka))

        boards, scores, certificate_store = Boards(), ScoreStore(pool), CertificateStore(pool)
        tokens = TokenDirectory(
            refresh=lambda: _read_tokens(reference), age_seconds=lambda: reference.seconds_since_end(TOKENS.name)
        )
        reference = TopicFollower(settings.kafka, reference_topics(boards, tokens))
        memory = OutcomesIntoMemory(settings.kafka, scores, boards)
        folder = Folder(scores, boards.roster.index, interval_seconds=settings.ranking_fold_seconds)
        fold = OutcomeFold(folder, boards, learn=learn_campaigns(reference))
        group = outcome_group(settings.kafka, fold, session_timeout_milliseconds=settings.ranking_session_timeout_milliseconds)
        certificates = Certificates(certificate_store, boards)
        late = timedelta(hours=settings.ranking_late_hours)
        certifier = Certifier(certificate_store, boards, certificates, inspector, late=late)
        database = DatabaseWatch(scores.ping, meanwhile="scores are kept in memory")
        readiness = Readiness()
        watch_readiness(readiness, boards=boards, reference=reference, group=group, database=database)

        await stack.enter_async_context(background({"reference": reference.run}))
        await reference.wait_loaded()
        await stack.enter_async_context(background({"memory": memory.run, "fold": folder.run}))
        await memory.wait_loaded()
        await certificates.learn()
        jobs = _jobs(settings, boards, group, StandingsPublisher(boards, publisher), certifier, certificates)
        await stack.enter_async_context(background({"group": group.run, "database": database.run, **jobs}))

        answers, certified = Answers(boards), CertifiedAnswers(boards, certificates, certificate_store)
        live = LiveBoards(answers, boards.wait_refreshed)
        app = _web(settings, RankingApi(answers, certified, live, tokens), tokens, readiness)
        url = await stack.enter_async_context(serving(app, host=settings.host, port=settings.port))
        await stack.enter_async_context(background({"live": live.run}))
        yield RunningService(name="ranking", url=url, readiness=readiness)


def _jobs(
    settings: RankingSettings,
    boards: Boards,
    group: PartitionGroup,
    standings: StandingsPublisher,
    certifier: Certifier,
    certificates: Certificates,
) -> dict[str, Callable[[], Awaitable[None]]]:
    def leads() -> bool:
        return LEADING_PARTITION in group.partitions

    every = settings.ranking_certify_seconds
    return {
        "refresh": lambda: refresh_boards(boards, settings.ranking_refresh_seconds),
        "certify": lambda: certify_regularly(certifier, certificates, leads=leads, interval_seconds=every),
        "standings": lambda: publish_standings(standings, leads=leads),
    }


def _web(settings: RankingSettings, api: RankingApi, tokens: TokenDirectory, readiness: Readiness) -> web.Application:
    pages = Pages(WEB)
    app = build_web_app(
        DESCRIPTION,
        routes(api, Portal(pages, tokens)),
        tokens=tokens,
        readiness=readiness,
        unavailable=is_unavailable,
        pages=pages,
        requests_a_minute=settings.http_requests_a_minute,
    )
    allow_origins(app, settings.cors_origins)
    return app


async def rebuild(settings: RankingSettings) -> Rebuilt:
    """Counts all outcomes anew and swaps the scores where they differ, while the service runs.

    Raises CannotRecount where the topic no longer holds its beginning, and RebuildRunning.
    """
    async with _tools(settings) as (boards, inspector, stack):
        pool = await stack.enter_async_context(open_pool(settings.database_url, schema=SCHEMA, max_size=2))
        return await recounting.rebuild(RebuildStore(pool), inspector, boards.count)


async def verify_certificate(settings: RankingSettings, campaign_id: str, window: str, day: date) -> Verification:
    """Recomputes the certificate of the window that holds the day from the outcomes that it names.

    Raises CannotRecount where there is no such certificate, or the topic no longer holds what it names.
    """
    async with _tools(settings) as (boards, inspector, stack):
        pool = await stack.enter_async_context(open_pool(settings.database_url, schema=SCHEMA, max_size=2))
        store = CertificateStore(pool)
        known = await store.read_certificates(EPOCH)
        found, scores = await recounting.find_certificate(store, known, campaign_id, Window(window), day)
        return await recounting.verify_certificate(found, scores, inspector, boards.count)


@asynccontextmanager
async def _tools(settings: RankingSettings) -> AsyncIterator[tuple[Boards, LogInspector, AsyncExitStack]]:
    """Campaigns read to their end, and a look into the log."""
    async with AsyncExitStack() as stack:
        boards = Boards()
        campaigns = TopicFollower(settings.kafka, {CAMPAIGNS.name: boards.apply_campaigns})
        async with background({"campaigns": campaigns.run}):
            with suppress(TimeoutError):
                await asyncio.wait_for(campaigns.wait_loaded(), KAFKA_SECONDS)
        if campaigns.seconds_since_end() == float("inf"):
            raise CannotRecount(f"Kafka at {settings.kafka.bootstrap_servers} does not answer")
        yield boards, await stack.enter_async_context(LogInspector(settings.kafka)), stack


async def _read_tokens(reference: TopicFollower) -> None:
    async with asyncio.timeout(TOKEN_READ_SECONDS):
        await reference.read_to_end(TOKENS.name, as_of=time.monotonic())
