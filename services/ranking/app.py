"""Puts the ranking service together."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from services.ranking.api import routes
from services.ranking.consumer import GROUP, OutcomeFold, learn_campaigns, reference_topics
from services.ranking.handlers.answers import Answers
from services.ranking.handlers.boards import Boards
from services.ranking.handlers.folding import Folder
from services.ranking.handlers.live import LiveBoards
from services.ranking.jobs import DatabaseWatch, refresh_boards, watch_readiness
from services.ranking.settings import RankingSettings
from services.ranking.store import RankingStore
from shared.contracts.topics import OUTCOMES, TOKENS
from shared.kafka.following import TopicFollower
from shared.kafka.groups import PartitionGroup
from shared.lifecycle import RunningService, background, is_unavailable
from shared.postgres.connections import open_pool
from shared.telemetry.readiness import Readiness
from shared.web.application import ServiceDescription, build_web_app, serving
from shared.web.pages import Pages
from shared.web.tokens import TokenDirectory

WEB: Final = Path(__file__).parent / "web"
TOKEN_READ_SECONDS: Final = 3.0
DESCRIPTION: Final = ServiceDescription(
    title="Counterfoil ranking",
    description="Live boards of a campaign's stores: day, ISO week, month, all-time; overall, by region, chain and peers.",
    version="1",
)


@asynccontextmanager
async def running(settings: RankingSettings) -> AsyncIterator[RunningService]:
    """The service, answering once its boards are loaded."""
    async with AsyncExitStack() as stack:
        store = RankingStore(await stack.enter_async_context(open_pool(settings.database_url, schema="ranking")))
        boards = Boards()
        tokens = TokenDirectory(refresh=lambda: _read_tokens(reference), age_seconds=lambda: token_age(reference))
        reference = TopicFollower(settings.kafka, reference_topics(boards, tokens))
        outcomes = TopicFollower(settings.kafka, {OUTCOMES.name: boards.apply_outcomes}, start_at=boards.start_at)
        boards.seconds_since_end = outcomes.seconds_since_end
        await stack.enter_async_context(background({"reference": reference.run}))
        await reference.wait_loaded()
        async with store.snapshot() as (places, rows):
            await boards.load(places, rows)
        folder = Folder(store, interval_seconds=settings.ranking_fold_seconds)
        fold = OutcomeFold(folder, boards, learn=learn_campaigns(reference))
        group = PartitionGroup(settings.kafka, topic=OUTCOMES.name, group=GROUP, run_partition=fold.run_partition)
        answers = Answers(boards)
        live = LiveBoards(answers)
        database = DatabaseWatch(store.ping)
        readiness = Readiness()
        watch_readiness(readiness, boards=boards, reference=reference, outcomes=outcomes, group=group, database=database)
        await stack.enter_async_context(background({"fold": folder.run, "outcomes": outcomes.run, "group": group.run}))
        await outcomes.wait_loaded()
        jobs = {
            "refresh": lambda: refresh_boards(boards, settings.ranking_refresh_seconds),
            "live": live.run,
            "database": database.run,
        }
        app = build_web_app(
            DESCRIPTION,
            routes(answers, live),
            tokens=tokens,
            readiness=readiness,
            unavailable=is_unavailable,
            pages=Pages(WEB),
        )
        url = await stack.enter_async_context(serving(app, host=settings.host, port=settings.port))
        await stack.enter_async_context(background(jobs))
        yield RunningService(name="ranking", url=url, readiness=readiness)


async def _read_tokens(reference: TopicFollower) -> None:
    async with asyncio.timeout(TOKEN_READ_SECONDS):
        await reference.read_to_end(TOKENS.name, as_of=time.monotonic())


def token_age(reference: TopicFollower) -> float:
    return reference.seconds_since_end(TOKENS.name)
