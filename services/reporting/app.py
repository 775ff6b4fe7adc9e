"""Reporting, put together: the service, and its jobs as stand-alone runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from services.reporting import consumer, jobs
from services.reporting.api.charts import Charts
from services.reporting.api.figures import Figures
from services.reporting.api.jobs import Jobs
from services.reporting.api.pages import HeadOffice
from services.reporting.api.reports import Reports
from services.reporting.api.sheets import Sheets
from services.reporting.domain.schedules import MEANINGS, SCHEDULES, JobName
from services.reporting.handlers.delivery import Bucket, Destinations, Mailbox
from services.reporting.handlers.freshness import FreshnessBoard
from services.reporting.handlers.jobs import JobRunner, Reporter, Work, check_identity, maintain, report_campaigns, retain
from services.reporting.handlers.reference import ReferenceKeeper
from services.reporting.render.worker import Renderer, RenderTimeout
from services.reporting.settings import ReportingSettings
from services.reporting.store.folding import FoldStore
from services.reporting.store.jobs import CareStore, Run, RunStore
from services.reporting.store.reading import DownloadStore, FigureStore
from services.reporting.store.rebuild import RebuildStore
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

__all__ = ["JobLine", "ReportingSettings", "list_jobs", "run_job", "running"]

SCHEMA: Final = "reporting"
WEB: Final = Path(__file__).parent / "web"
TOKEN_READ_SECONDS: Final = 3.0
IN_MEMORY: Final = {"work_mem": "32MB"}
"""Sums by store and day of millions of hours are added up in memory; with Postgres' 4 MB they go by way of the disk."""

DESCRIPTION: Final = ServiceDescription(
    title="Counterfoil reporting",
    description="Figures, files, charts and reports of campaigns, stores and redemptions.",
    version="1",
)


@asynccontextmanager
async def running(settings: ReportingSettings) -> AsyncIterator[RunningService]:
    """The service, answering at `url`, folding and following in the background. Ends in order when the block is left."""
    async with AsyncExitStack() as stack:
        parts = await _parts(settings, stack)
        parts.renderer.get_ready()
        keeper, folds = ReferenceKeeper(ReferenceStore(parts.pool)), FoldStore(parts.pool)
        tokens = TokenDirectory(
            refresh=lambda: _read_tokens(follower), age_seconds=lambda: follower.seconds_since_end(TOKENS.name)
        )
        follower = consumer.reference_follower(settings.kafka, keeper, tokens.apply)
        outcomes = consumer.outcomes_group(settings.kafka, folds, keeper, max_records=settings.reporting_fold_records)
        readiness, pages = _readiness(follower, keeper, outcomes, parts.board), Pages(WEB)
        web_app = build_web_app(
            DESCRIPTION,
            [*_routes(settings, parts), *HeadOffice(parts.figures, tokens, pages).routes()],
            tokens=tokens,
            readiness=readiness,
            unavailable=lambda error: is_unavailable(error) or isinstance(error, RenderTimeout),
            pages=pages,
            requests_a_minute=settings.http_requests_a_minute,
        )
        tasks = {
            "reference": follower.run,
            "reference writer": keeper.run,
            "outcomes": outcomes.run,
            "standings": consumer.standings_group(settings.kafka, folds, keeper).run,
            "freshness": lambda: consumer.keep_measuring(settings.kafka, parts.figures, parts.board),
            "players": lambda: jobs.keep_merging_players(CareStore(parts.pool)),
            "comparisons": lambda: jobs.keep_telling_differences(CareStore(parts.pool)),
        }
        if settings.reporting_timer:
            tasks["jobs"] = lambda: jobs.keep_running_due_jobs(_runner(settings, parts))
        await stack.enter_async_context(background(tasks))
        url = await stack.enter_async_context(serving(web_app, host=settings.host, port=settings.port))
        yield RunningService(name=SCHEMA, url=url, readiness=readiness)


def _routes(settings: ReportingSettings, parts: "_Parts") -> list[Route]:
    """What is answered to programs; the page comes on top."""
    figures, board, renderer = parts.figures, parts.board, parts.renderer
    return [
        *Figures(figures, board).routes(),
        *Sheets(figures, parts.downloads, board, slots=settings.reporting_downloads).routes(),
        *Charts(figures, board, renderer).routes(),
        *Reports(figures, parts.downloads, board, renderer).routes(),
        *Jobs(parts.runs).routes(),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """A job as `counterfoil jobs list` shows it. `next_due` is None for one that runs by hand only."""

    name: str
    meaning: str
    next_due: datetime | None
    last: Run | None


async def list_jobs(settings: ReportingSettings) -> list[JobLine]:
    """All jobs with their last run."""
    now = datetime.now(UTC)
    async with open_pool(settings.database_url, schema=SCHEMA, max_size=1) as pool:
        runs = RunStore(pool)
        last = {job: await runs.runs(job=job, before=None, limit=1) for job in JobName}
    return [
        JobLine(
            name=job,
            meaning=MEANINGS[job],
            next_due=SCHEDULES[job].latest(now) + SCHEDULES[job].every if job in SCHEDULES else None,
            last=last[job][0] if last[job] else None,
        )
        for job in JobName
    ]


async def run_job(settings: ReportingSettings, name: str, day: date | None = None) -> Run:
    """Runs a job and gives its record, whose `state` is done or failed.

    With a day: the run that was due on it, done now unless it was done before (then its record). Without: now, in any case.
    Raises ValueError, saying why, for a job that is not there and a day that has not come.
    """
    if name.removeprefix("reporting.") not in set(JobName):
        raise ValueError(f"there is no job {name}; `counterfoil jobs list` names them")
    job = JobName(name.removeprefix("reporting."))
    async with AsyncExitStack() as stack:
        parts = await _parts(settings, stack)
        measuring = consumer.keep_measuring(settings.kafka, parts.figures, parts.board)
        await stack.enter_async_context(background({"freshness": lambda: measuring}))
        await _until_measured(parts.board)
        runner = _runner(settings, parts)
        return await (runner.run_now(job) if day is None else runner.run_of_day(job, day))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What the service and a stand-alone run have in common."""

    pool: Any
    figures: FigureStore
    downloads: DownloadStore
    runs: RunStore
    board: FreshnessBoard
    renderer: Renderer


async def _parts(settings: ReportingSettings, stack: AsyncExitStack) -> _Parts:
    opened = partial(open_pool, settings.database_url, schema=SCHEMA, settings=IN_MEMORY)
    pool = await stack.enter_async_context(opened(max_size=14))
    downloads = await stack.enter_async_context(
        opened(min_size=0, max_size=settings.reporting_downloads + 1, command_timeout=None)
    )
    return _Parts(
        pool=pool,
        figures=FigureStore(pool),
        downloads=DownloadStore(downloads),
        runs=RunStore(pool),
        board=FreshnessBoard(),
        renderer=await stack.enter_async_context(Renderer()),
    )


def _runner(settings: ReportingSettings, parts: _Parts) -> JobRunner:
    care = CareStore(parts.pool)
    reporter = Reporter(
        figures=parts.figures,
        downloads=parts.downloads,
        board=parts.board,
        renderer=parts.renderer,
        destinations=_destinations(settings),
    )
    work: dict[JobName, Work] = {
        JobName.IDENTITY: lambda _: check_identity(care),
        JobName.DAILY_REPORT: lambda due_at: report_campaigns(reporter, JobName.DAILY_REPORT, due_at),
        JobName.WEEKLY_REPORT: lambda due_at: report_campaigns(reporter, JobName.WEEKLY_REPORT, due_at),
        JobName.MAINTENANCE: lambda due_at: maintain(care, due_at),
        JobName.RETENTION: lambda due_at: retain(care, due_at, settings.reporting_retention_months),
        JobName.REBUILD: lambda _: jobs.rebuild(settings.kafka, RebuildStore(parts.pool), parts.figures),
    }
    return JobRunner(parts.runs, work)


def _destinations(settings: ReportingSettings) -> Destinations:
    bucket = mailbox = None
    if settings.reporting_s3_endpoint:
        bucket = Bucket(
            endpoint=settings.reporting_s3_endpoint,
            name=settings.reporting_s3_bucket or "",
            region=settings.reporting_s3_region,
            access_key=settings.reporting_s3_access_key or "",
            secret_key=settings.reporting_s3_secret or "",
        )
    if settings.reporting_smtp_url:
        recipients = tuple(part.strip() for part in (settings.reporting_mail_to or "").split(",") if part.strip())
        mailbox = Mailbox(url=settings.reporting_smtp_url, sender=settings.reporting_mail_from, recipients=recipients)
    return Destinations(folder=settings.reporting_folder, bucket=bucket, mailbox=mailbox)


def _readiness(follower: TopicFollower, keeper: ReferenceKeeper, outcomes: PartitionGroup, board: FreshnessBoard) -> Readiness:
    readiness = Readiness()
    readiness.add("reference", lambda: consumer.reference_problem(follower, keeper))
    readiness.add("folding", lambda: consumer.folding_problem(outcomes, board))
    return readiness


async def _read_tokens(follower: TopicFollower) -> None:
    async with asyncio.timeout(TOKEN_READ_SECONDS):
        await follower.read_to_end(TOKENS.name, as_of=time.monotonic())


async def _until_measured(board: FreshnessBoard) -> None:
    async with asyncio.timeout(60):
        while not board.measured:  # noqa: ASYNC110 (a stand-alone run waits once, for less than a second)
            await asyncio.sleep(0.05)
