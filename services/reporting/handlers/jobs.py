"""What each job does. Every job may be run again for the same date: it does the same, and replaces what it delivered."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import structlog

from services.reporting.domain import words
from services.reporting.domain.campaigns import Access, Asked, KnownCampaign
from services.reporting.domain.periods import local_day
from services.reporting.domain.schedules import SCHEDULES, JobName, reported_days
from services.reporting.handlers.delivery import Delivery, Destinations, deliver
from services.reporting.handlers.downloads import PERFORMANCE_COLUMNS
from services.reporting.handlers.freshness import FreshnessBoard
from services.reporting.handlers.reports import gather_report
from services.reporting.handlers.selecting import Selected, known_campaign, select
from services.reporting.render.worker import Renderer, draw_report_as_pdf
from services.reporting.store.jobs import Attempt, CareStore, Difference, Run, RunStore
from services.reporting.store.reading import DownloadStore, FigureStore
from shared.kafka.errors import Retryable
from shared.postgres.errors import is_retryable
from shared.telemetry import metrics
from shared.web.csv_stream import head

BEAT_SECONDS: Final = 20.0
NAMED_DIFFERENCES: Final = 5
HOST: Final = f"{socket.gethostname()}/{os.getpid()}"

DIFFERENCES: Final = metrics.gauge("reporting_identity_differences", "Figures that do not agree; anything but 0 is an alert")
CHECKED_AT: Final = metrics.gauge(
    "reporting_identity_checked_timestamp_seconds",
    "When the figures were last compared, 0 for never, NaN while it is not known",
)
CHECKED_AT.set(float("nan"))
RUNS: Final = metrics.counter("reporting_job_runs_total", "Runs of jobs", ("job", "state"))
RUN_SECONDS: Final = metrics.seconds("reporting_job_run_seconds", "How long runs took", ("job",))

log = structlog.get_logger(__name__)


class JobFailed(Exception):  # noqa: N818 (what became of it)
    """A run found something wrong, or could not do its work. The text is what is recorded."""


Work = Callable[[datetime], Awaitable[str]]
"""Does a run that is due at a moment; gives a sentence about the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """What reports are made with, and where they go."""

    figures: FigureStore
    downloads: DownloadStore
    board: FreshnessBoard
    renderer: Renderer
    destinations: Destinations


async def check_identity(care: CareStore) -> str:
    """Compares everything and keeps the result, for `tell_differences`; raises JobFailed with the first differences."""
    found = await care.differences()
    await care.note_comparison(len(found))
    if found:
        log.error("figures do not agree", differences=len(found), first=_told(found[0]))
        named = "; ".join(_told(difference) for difference in found[:NAMED_DIFFERENCES])
        raise JobFailed(f"{words.counted(len(found), 'figure does', 'figures do')} not agree: {named}")
    return "Ledger, totals, facts and ranking agree; issued = outstanding + redeemed + void + expired for every store and batch"


async def tell_differences(care: CareStore) -> None:
    """Sets the metrics that are alerted on from the last comparison, which another process may have made."""
    last = await care.last_comparison()
    CHECKED_AT.set(last[0].timestamp() if last else 0)
    DIFFERENCES.set(last[1] if last else 0)


async def maintain(care: CareStore, due_at: datetime) -> str:
    first = due_at.date().replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    forgotten = await care.maintain([first, following])
    return f"Partitions are there to the end of {following:%B %Y}; {words.number(forgotten)} empty players forgotten"


async def retain(care: CareStore, due_at: datetime, months: int) -> str:
    """Detaches months that ended `months` ago or longer; 0 keeps all."""
    if months == 0:
        return "All months are kept (REPORTING_RETENTION_MONTHS is 0)"
    year, month = divmod(due_at.year * 12 + due_at.month - 1 - months, 12)
    detached = await care.detach_months_before(datetime(year, month + 1, 1, tzinfo=UTC))
    return f"Detached {', '.join(detached)}" if detached else "No month is old enough"


async def report_campaigns(reporter: Reporter, job: JobName, due_at: datetime) -> str:
    """Delivers the report of each campaign that ran on the reported days (or ended within them)."""
    if not reporter.destinations.any:
        return "Nothing delivered: set REPORTING_FOLDER, REPORTING_S3_… or REPORTING_SMTP_URL"
    first, last = reported_days(job, due_at)
    went: list[str] = []
    for row in await reporter.figures.campaigns():
        campaign = known_campaign(row)
        if _ran(campaign, first, last):
            went += await _report(reporter, job, campaign, first, last)
    return f"Delivered to {'; '.join(went)}" if went else f"No campaign ran on {words.days(first, last)}"


async def _report(reporter: Reporter, job: JobName, campaign: KnownCampaign, first: date, last: date) -> list[str]:
    asked = Asked(since=first.isoformat(), until=last.isoformat())
    chosen = await select(reporter.figures, campaign.id, asked, Access(everything=True), now=datetime.now(UTC))
    gathered = await gather_report(reporter.figures, chosen, reporter.board.latest)
    files = {
        "report.pdf": await reporter.renderer.run(draw_report_as_pdf, gathered, "a4"),
        "performance.csv": await _performance(reporter, chosen),
    }
    when = words.days(first, last)
    lines = [f"{figure.label}: {figure.value} ({figure.remark})" for figure in gathered.figures]
    text = "\n".join([f"{campaign.name}, {when}", "", *lines, "", *gathered.findings, "", gathered.footer])
    place = f"{campaign.id}/{job.value.partition('-')[0]}/{last.isoformat()}"
    subject = f"{campaign.name}, {when}: {gathered.findings[1]}"
    return await deliver(Delivery(place=place, files=files, subject=subject, text=text), reporter.destinations)


async def _performance(reporter: Reporter, chosen: Selected) -> bytes:
    first = head(PERFORMANCE_COLUMNS, now=reporter.board.latest.as_of, plain=False)
    async with reporter.downloads.performance(chosen.of) as chunks:
        return first + b"".join([chunk async for chunk in chunks]).replace(b"\n", b"\r\n")


def _ran(campaign: KnownCampaign, first: date, last: date) -> bool:
    zone = campaign.zone
    begins, ends = local_day(campaign.starts_at, zone), local_day(campaign.ends_at - timedelta(seconds=1), zone)
    return begins <= last and ends >= first and not campaign.archived


class JobRunner:
    """Runs jobs and records them: what is due once however many copies ask, and what is asked for by hand."""

    def __init__(self, runs: RunStore, work: Mapping[JobName, Work]) -> None:
        self._runs = runs
        self._work = work

    async def run_due(self, now: datetime) -> None:
        """Runs what is due and was not run, or not to a good end, missed runs too. A failure is recorded and left for later."""
        for job, schedule in SCHEDULES.items():
            begun = await self._runs.unfinished(job, schedule.oldest_made_up(now))
            for due_at in [*begun, *schedule.due(await self._runs.last_due(job, now), now)]:
                attempt = await self._runs.claim(job, due_at, HOST)
                if attempt is not None:
                    await self._record(attempt, job, due_at)

    async def run_of_day(self, job: JobName, day: date) -> Run:
        """The run of a day: done now if it was not done, else as it was done. ValueError for a day to come."""
        if job not in SCHEDULES:
            return await self.run_now(job)
        due_at = SCHEDULES[job].on(day, datetime.now(UTC))
        attempt = await self._runs.claim(job, due_at, HOST)
        if attempt is not None:
            await self._record(attempt, job, due_at)
        run = await self._runs.run_of(job, due_at)
        assert run is not None
        return run

    async def run_now(self, job: JobName, due_at: datetime | None = None) -> Run:
        """Runs a job by hand, whatever was done before."""
        due_at = due_at or datetime.now(UTC)
        attempt = await self._runs.begin(job, due_at, HOST)
        await self._record(attempt, job, due_at)
        return next(run for run in await self._runs.runs(job=job, before=attempt.id + 1, limit=1) if run.id == attempt.id)

    async def _record(self, attempt: Attempt, job: JobName, due_at: datetime) -> None:
        beating = asyncio.create_task(self._beat(attempt), name=f"beat of {job}")
        state = "failed"
        try:
            with RUN_SECONDS.labels(job).time():
                message = await self._work[job](due_at)
            state = "done"
        except (JobFailed, Retryable) as failure:
            message = str(failure)
            log.warning("job failed", job=job, reason=message)
        except Exception as error:
            log.exception("job failed", job=job)
            message = f"{type(error).__name__}: {error}"
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating
        RUNS.labels(job, state).inc()
        await self._runs.end(attempt, state=state, message=message)
        log.info("job ran", job=job, due_at=due_at.isoformat(), state=state)

    async def _beat(self, attempt: Attempt) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self._runs.beat(attempt)
            except Exception as error:
                if not is_retryable(error):
                    raise
                log.warning("a run could not say that it goes on", error=str(error))


def _told(difference: Difference) -> str:
    batch = f", batch {difference.batch_id}" if difference.batch_id else ""
    where = f"{difference.campaign_id}, store {difference.store_id or '(none)'}{batch}"
    return f"{where}: {difference.what} {difference.found} against {difference.totals}"
