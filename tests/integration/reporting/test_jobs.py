"""Jobs on real servers: once however many copies, made up when missed, recorded; the identity broken on purpose; a rebuild."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pypdfium2
import pytest
from aiohttp import web

from services.reporting.app import list_jobs, run_job
from services.reporting.domain.schedules import SCHEDULES, JobName
from services.reporting.handlers.jobs import DIFFERENCES, JobFailed, JobRunner, check_identity, maintain, retain
from services.reporting.settings import ReportingSettings
from services.reporting.store.folding import FoldStore
from services.reporting.store.jobs import CareStore, RunStore
from services.reporting.store.reading import FigureStore
from services.reporting.store.reference import ReferenceStore
from shared.environment import KafkaConnection, read_settings
from shared.kafka.publishing import Publisher
from shared.postgres.connections import open_pool
from tests.integration.reporting.folding import fold_at_random, keep_reference
from tests.integration.reporting.system import Database, publish_outcomes, publish_reference, reporting_service
from tests.integration.reporting.test_figures_agree import selection
from tests.unit.reporting.history import History, make_history, recompute

NOW = datetime(2026, 11, 25, 16, 20, tzinfo=UTC)


WRONG_STANDING = """INSERT INTO standings (campaign_id, board, period, day, store_id, revision, score, as_of)
VALUES ('spring', 'all/all/count', '2026-10-20', '2026-11-20', 's-0000', 1, 9999, now())"""
DAMAGES = [
    ("UPDATE store_totals SET accepted = accepted + 1", "accepted"),
    ("DELETE FROM reversals WHERE redemption_id = (SELECT min(redemption_id) FROM reversals)", "reversed"),
    ("UPDATE hourly_facts SET rejected = rejected + 2", "rejected by hour"),
    ("UPDATE allotments SET codes = 1", "redeemed and void beyond issued"),
    (WRONG_STANDING, "score of ranking"),
]


@pytest.fixture
async def pool(database: Callable[[str], Awaitable[str]]) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(await database("reporting"), schema="reporting") as opened:
        yield opened


@pytest.fixture
async def folded(pool: asyncpg.Pool) -> History:
    history = make_history(8, events=250)
    await keep_reference(ReferenceStore(pool), history)
    await fold_at_random(FoldStore(pool), ReferenceStore(pool), history, 8)
    return history


def runner(pool: asyncpg.Pool, ran: list[datetime], *, fails: bool = False) -> JobRunner:
    async def work(due_at: datetime) -> str:
        await asyncio.sleep(0.01)
        ran.append(due_at)
        if fails:
            raise JobFailed("not today")
        return "well"

    return JobRunner(RunStore(pool), dict.fromkeys(JobName, work))


async def test_a_due_run_happens_once_however_many_copies_look(pool: asyncpg.Pool) -> None:
    ran: list[datetime] = []
    await asyncio.gather(*[runner(pool, ran).run_due(NOW) for _ in range(5)])
    assert sorted(ran) == sorted(schedule.latest(NOW) for schedule in SCHEDULES.values())
    assert {run.state for run in await RunStore(pool).runs(job=None, before=None, limit=50)} == {"done"}


async def test_missed_runs_are_made_up(pool: asyncpg.Pool) -> None:
    ran: list[datetime] = []
    await runner(pool, ran).run_due(NOW - timedelta(days=3))
    ran.clear()
    await runner(pool, ran).run_due(NOW)
    latest = SCHEDULES[JobName.DAILY_REPORT].latest(NOW)
    assert [due for due in ran if due.hour == 13 and due.minute == 0] == [latest - timedelta(days=n) for n in (2, 1, 0)]


async def test_a_failed_run_is_recorded_and_tried_again_later(pool: asyncpg.Pool) -> None:
    ran: list[datetime] = []
    run = await runner(pool, ran, fails=True).run_of_day(JobName.DAILY_REPORT, NOW.date())
    assert (run.state, run.message) == ("failed", "not today")
    again = await runner(pool, ran).run_of_day(JobName.DAILY_REPORT, NOW.date())
    assert again.state == "failed", "not at once"
    await pool.execute("UPDATE job_runs SET finished_at = finished_at - interval '10 minutes'")
    later = await runner(pool, ran).run_of_day(JobName.DAILY_REPORT, NOW.date())
    assert (later.state, later.attempts) == ("done", 2)


async def test_a_run_whose_worker_fell_silent_is_taken_over(pool: asyncpg.Pool) -> None:
    store, due = RunStore(pool), SCHEDULES[JobName.IDENTITY].latest(NOW)
    assert await store.claim(JobName.IDENTITY, due, "dead") is not None
    assert await store.claim(JobName.IDENTITY, due, "other") is None
    await pool.execute("UPDATE job_runs SET heartbeat_at = now() - interval '5 minutes'")
    assert await store.claim(JobName.IDENTITY, due, "other") is not None


async def test_the_identity_holds(pool: asyncpg.Pool, folded: History) -> None:
    assert "agree" in await check_identity(CareStore(pool))
    assert DIFFERENCES._value.get() == 0


@pytest.mark.parametrize(("damage", "named"), DAMAGES)
async def test_a_broken_identity_raises_the_alert(pool: asyncpg.Pool, folded: History, damage: str, named: str) -> None:
    await pool.execute(damage)
    with pytest.raises(JobFailed, match=named):
        await check_identity(CareStore(pool))
    assert DIFFERENCES._value.get() > 0


async def test_maintenance_and_retention_keep_the_figures(pool: asyncpg.Pool, folded: History) -> None:
    care = CareStore(pool)
    assert "December 2026" in await maintain(care, NOW)
    before = {row["store_id"]: row["accepted"] for row in await FigureStore(pool).performance(selection())}
    assert "kept" in await retain(care, NOW, 0)
    assert "ledger_2026_10" in await retain(care, NOW + timedelta(days=31), 1)
    after = {row["store_id"]: row["accepted"] for row in await FigureStore(pool).performance(selection())}
    assert after == before
    assert "agree" in await check_identity(care), "what is not in the ledger any more is not compared"


async def test_a_rebuild_gives_the_same_figures_and_folding_goes_on(
    kafka: KafkaConnection, database: Database, publisher: Publisher
) -> None:
    history = make_history(21, events=300, partitions=2)
    url = await database("reporting")
    wanted = {key: figures.accepted for key, figures in recompute(history).items()}
    async with reporting_service(kafka, url, REPORTING_TIMER="false") as service:
        await publish_reference(publisher, history)
        for partition, outcomes in enumerate(history.partitions):
            await publish_outcomes(publisher, partition, outcomes[:-10])
        first = sum(f.accepted for f in recompute(_without_last(history, 10)).values())
        await service.wait_for(first)
        async with open_pool(url, schema="reporting") as pool:
            await pool.execute("UPDATE store_totals SET accepted = accepted + 5, players = 0")
            run = await run_job(settings_of(kafka, url), "rebuild")
            assert run.state == "done", run.message
            assert "agree" in await check_identity(CareStore(pool))
        for partition, outcomes in enumerate(history.partitions):
            await publish_outcomes(publisher, partition, outcomes[-20:])
        await service.wait_for(sum(wanted.values()))
        rows = {row["store_id"]: row for row in await service.rows("/v1/campaigns/spring/performance.csv")}
        for store_id, figures in recompute(history).items():
            assert int(rows[store_id]["accepted"]) == figures.accepted
            assert int(rows[store_id]["unique_players"]) == figures.unique_players
            assert int(rows[store_id]["void"]) == figures.void


async def test_reports_are_delivered_to_folder_bucket_and_mailbox(
    kafka: KafkaConnection, database: Database, publisher: Publisher, tmp_path: Path
) -> None:
    history = make_history(5, events=150, partitions=2)
    url = await database("reporting")
    async with reporting_service(kafka, url, REPORTING_TIMER="false") as service:
        await publish_reference(publisher, history)
        for partition, outcomes in enumerate(history.partitions):
            await publish_outcomes(publisher, partition, outcomes)
        await service.wait_for(sum(f.accepted for f in recompute(history).values()))
        assert (await service.json("/v1/jobs/runs"))["items"] == []
    async with bucket_server() as (endpoint, puts), mail_server() as (smtp, mails):
        settings = settings_of(
            kafka,
            url,
            REPORTING_FOLDER=str(tmp_path),
            REPORTING_S3_ENDPOINT=endpoint,
            REPORTING_S3_BUCKET="reports",
            REPORTING_S3_ACCESS_KEY="key",
            REPORTING_S3_SECRET="secret",
            REPORTING_SMTP_URL=smtp,
            REPORTING_MAIL_TO="boss@example.com",
        )
        day = datetime(2026, 11, 3, tzinfo=UTC).date()
        run = await run_job(settings, "daily-report", day)
        assert run.state == "done", run.message
        assert (await run_job(settings, "daily-report", day)).id == run.id, "it was done before"
    place = tmp_path / "spring" / "daily" / "2026-11-02"
    assert len(pypdfium2.PdfDocument(place / "report.pdf")) > 10
    assert (place / "performance.csv").read_text().startswith("Time UTC,")
    assert set(puts) == {f"/reports/spring/daily/2026-11-02/{name}" for name in ("report.pdf", "performance.csv")}
    assert len(mails) == 1
    assert b"report.pdf" in mails[0]
    lines = {line.name: line for line in await list_jobs(settings)}
    assert lines["daily-report"].last is not None
    assert lines["rebuild"].next_due is None


def settings_of(kafka: KafkaConnection, url: str, **more: str) -> ReportingSettings:
    return read_settings(
        ReportingSettings,
        {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "REPORTING_DATABASE_URL": url,
            **more,
        },
    )


def _without_last(history: History, count: int) -> History:
    return History(
        campaign=history.campaign,
        stores=history.stores,
        batches=history.batches,
        voids=history.voids,
        partitions=[partition[:-count] for partition in history.partitions],
    )


@asynccontextmanager
async def bucket_server() -> AsyncIterator[tuple[str, dict[str, bytes]]]:
    """Takes PUTs as an S3-compatible store does, if their signature is right."""
    puts: dict[str, bytes] = {}

    async def put(request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest() or not _signed(request):
            return web.Response(status=403)
        puts[request.path] = body
        return web.Response()

    app = web.Application(client_max_size=16 << 20)
    app.router.add_put("/{key:.+}", put)
    app_runner = web.AppRunner(app)
    await app_runner.setup()
    site = web.TCPSite(app_runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    yield f"http://127.0.0.1:{port}", puts
    await app_runner.cleanup()


def _signed(request: web.Request) -> bool:
    """The signature recomputed from the request, step by step as AWS describes it."""
    parts = dict(part.split("=", 1) for part in request.headers["Authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(","))
    names = parts["SignedHeaders"].split(";")
    canonical = "\n".join(
        [
            request.method,
            request.raw_path,
            "",
            *[f"{name}:{request.headers[name]}" for name in names],
            "",
            parts["SignedHeaders"],
            request.headers["x-amz-content-sha256"],
        ]
    )
    scope = parts["Credential"].partition("/")[2]
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4secret"
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == parts["Signature"]


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[str, list[bytes]]]:
    """As much of SMTP as taking a mail needs."""
    mails: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            command = line[:4].upper()
            if command == b"DATA":
                writer.write(b"354 go on\r\n")
                mails.append(await reader.readuntil(b"\r\n.\r\n"))
            elif command == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            writer.write(b"250 fine\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=64 << 20)
    async with server:
        yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}", mails
