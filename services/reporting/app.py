"""Reporting, put together."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from services.reporting import consumer
from services.reporting.api.charts import Charts
from services.reporting.api.figures import Figures
from services.reporting.api.reports import Reports
from services.reporting.api.sheets import Sheets
from services.reporting.handlers.freshness import FreshnessBoard
from services.reporting.handlers.reference import ReferenceKeeper
from services.reporting.render.worker import Renderer
from services.reporting.settings import ReportingSettings
from services.reporting.store.folding import FoldStore
from services.reporting.store.reading import DownloadStore, FigureStore
from services.reporting.store.reference import ReferenceStore
from shared.contracts.topics import TOKENS
from shared.kafka.following import TopicFollower
from shared.kafka.groups import PartitionGroup
from shared.lifecycle import RunningService, background, is_unavailable
from shared.postgres.connections import open_pool
from shared.telemetry.readiness import Readiness
from shared.web.application import ServiceDescription, build_web_app, serving
from shared.web.pages import Pages
from shared.web.routes import Route
from shared.web.tokens import TokenDirectory

__all__ = ["MIGRATIONS", "SCHEMA", "ReportingSettings", "api_routes", "running"]

SCHEMA: Final = "reporting"
HERE: Final = Path(__file__).parent
MIGRATIONS: Final = HERE / "migrations"
DESCRIPTION: Final = ServiceDescription(
    title="Counterfoil reporting",
    description="Figures, files, charts and reports of campaigns, stores and redemptions.",
    version="1.0.0",
)
STALE_SECONDS: Final = 60.0


def api_routes(figures: Figures, sheets: Sheets, charts: Charts, reports: Reports) -> list[Route]:
    """The route table."""
    return [*figures.routes(), *sheets.routes(), *charts.routes(), *reports.routes()]


@asynccontextmanager
async def running(settings: ReportingSettings) -> AsyncIterator[RunningService]:
    """The service, answering at `url`, folding and following in the background. Ends in order when the block is left."""
    async with (
        open_pool(settings.database_url, schema=SCHEMA, max_size=12) as pool,
        open_pool(
            settings.database_url,
            schema=SCHEMA,
            min_size=0,
            max_size=settings.reporting_downloads,
            command_timeout=None,
        ) as downloads_pool,
        Renderer() as renderer,
    ):
        figures, folds = FigureStore(pool), FoldStore(pool)
        board, keeper = FreshnessBoard(), ReferenceKeeper(ReferenceStore(pool))
        tokens = TokenDirectory(
            refresh=lambda: follower.read_to_end(TOKENS.name, as_of=time.monotonic()),
            age_seconds=lambda: follower.seconds_since_end(TOKENS.name),
        )
        follower = consumer.reference_follower(settings.kafka, keeper, tokens.apply)
        outcomes = consumer.outcomes_group(settings.kafka, folds, keeper, max_records=settings.reporting_fold_records)
        standings = consumer.standings_group(settings.kafka, folds, keeper)
        readiness = _readiness(follower, keeper, outcomes, board)
        sheets = Sheets(figures, DownloadStore(downloads_pool), board, slots=settings.reporting_downloads)
        web_app = build_web_app(
            DESCRIPTION,
            api_routes(Figures(figures, board), sheets, Charts(figures, board, renderer), Reports(figures, board, renderer)),
            tokens=tokens,
            readiness=readiness,
            unavailable=is_unavailable,
            pages=Pages(HERE / "web"),
        )
        async with (
            background(
                {
                    "reference": follower.run,
                    "reference writer": keeper.run,
                    "outcomes": outcomes.run,
                    "standings": standings.run,
                    "freshness": lambda: consumer.keep_measuring(settings.kafka, figures, board),
                }
            ),
            serving(web_app, host=settings.host, port=settings.port) as url,
        ):
            yield RunningService(name=SCHEMA, url=url, readiness=readiness)


def _readiness(follower: TopicFollower, keeper: ReferenceKeeper, outcomes: PartitionGroup, board: FreshnessBoard) -> Readiness:
    readiness = Readiness()

    def reference() -> str | None:
        age = follower.seconds_since_end()
        if age > STALE_SECONDS:
            return "campaigns, stores, batches and tokens have not been read to their ends lately"
        return "reference data is being written" if keeper.waiting else None

    def folding() -> str | None:
        if outcomes.stopped:
            return "; ".join(f"partition {p}: {stop}" for p, stop in sorted(outcomes.stopped.items()))
        return "outcomes have not been measured yet" if board.latest.as_of.year == 1970 else None

    readiness.add("reference", reference)
    readiness.add("folding", folding)
    return readiness
