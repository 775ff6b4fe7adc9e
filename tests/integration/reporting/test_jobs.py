"""Jobs on real servers: once however many copies, made up when missed, recorded; the identity broken on purpose; a rebuild."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import asyncpg
import pypdfium2
import pytest

from services.reporting.app import list_jobs, run_job
from services.reporting.domain.schedules import SCHEDULES, JobName
from services.reporting.handlers.delivery import Bucket, Delivery, Destinations, deliver
from services.reporting.handlers.jobs import JobFailed, JobRunner, check_identity, maintain, retain
from services.reporting.store.folding import FoldStore
from services.reporting.store.jobs import CareStore, RunStore
from services.reporting.store.reading import FigureStore
from services.reporting.store.reference import ReferenceStore
from shared.environment import KafkaConnection
from shared.kafka.errors import Retryable
from shared.kafka.publishing import Publisher
from shared.postgres.connections import open_pool
from tests.integration.reporting.folding import fold_at_random, keep_reference
from tests.integration.reporting.outside import bucket_server, mail_server
from tests.integration.reporting.system import Database, publish_outcomes, publish_reference, reporting_service, settings_of
from tests.integration.reporting.test_figures_agree import selection
from tests.support.polling import poll_until
from tests.unit.reporting.history import History, make_history
from tests.unit.reporting.recomputation import recompute

NOW = datetime(2026, 11, 25, 16, 20, tzinfo=UTC)
COMPARED_AT = "counterfoil_reporting_identity_checked_timestamp_seconds"

WRONG_STANDING = """INSERT INTO standings (campaign_id, board, period, day, store_id, revision, score, as_of)
VALUES ('spring', 'all/all/count', '2026-10-20', '2026-11-20', 's-0000', 1, 9999, now())"""
DAMAGES = [
    ("UPDATE store_totals SET accepted = accepted + 1", "accepted"),
    ("DELETE FROM reversals WHERE redemption_id = (SELECT min(redemption_id) FROM reversals)", "reversed"),
    ("UPDATE hourly_facts SET rejected = rejected + 2", "rejected by hour"),
    ("UPDATE daily_facts SET reversed = reversed + 1", "reversed by day"),
    ("UPDATE batch_hours SET redeemed = redeemed - 1", "redeemed by hour of the batch"),
    ("INSERT INTO player_changes VALUES ('spring', 'zork', 'nobody', 1)", "players"),
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


async def test_a_run_that_was_cut_off_days_ago_is_made_up(pool: asyncpg.Pool) -> None:
    """The process died in a run, and was away until others were due."""
    ran: list[datetime] = []
    latest = SCHEDULES[JobName.DAILY_REPORT].latest(NOW)
    await RunStore(pool).claim(JobName.DAILY_REPORT, latest - timedelta(days=2), "dead")
    await pool.execute("UPDATE job_runs SET heartbeat_at = now() - interval '5 minutes'")
    await runner(pool, ran).run_due(NOW)
    assert [due for due in ran if due.hour == 13 and due.minute == 0] == [latest - timedelta(days=n) for n in (2, 1, 0)]


async def test_what_an_older_attempt_says_is_not_noted(pool: asyncpg.Pool) -> None:
    store, due = RunStore(pool), SCHEDULES[JobName.IDENTITY].latest(NOW)
    older = await store.claim(JobName.IDENTITY, due, "slow")
    await pool.execute("UPDATE job_runs SET heartbeat_at = now() - interval '5 minutes'")
    newer = await store.claim(JobName.IDENTITY, due, "other")
    assert older is not None
    assert newer is not None
    await store.end(newer, state="done", message="well")
    await store.end(older, state="failed", message="too late")
    assert [(run.state, run.message) for run in await store.runs(job=None, before=None, limit=5)] == [("done", "well")]


async def test_a_day_to_come_is_refused(pool: asyncpg.Pool) -> None:
    with pytest.raises(ValueError, match="has not come"):
        await runner(pool, []).run_of_day(JobName.DAILY_REPORT, date(2999, 1, 1))


async def test_a_run_whose_worker_fell_silent_is_taken_over(pool: asyncpg.Pool) -> None:
    store, due = RunStore(pool), SCHEDULES[JobName.IDENTITY].latest(NOW)
    assert await store.claim(JobName.IDENTITY, due, "dead") is not None
    assert await store.claim(JobName.IDENTITY, due, "other") is None
    await pool.execute("UPDATE job_runs SET heartbeat_at = now() - interval '5 minutes'")
    assert await store.claim(JobName.IDENTITY, due, "other") is not None


async def kept_differences(pool: asyncpg.Pool) -> int:
    last = await CareStore(pool).last_comparison()
    assert last is not None
    return last[1]


async def test_the_identity_holds(pool: asyncpg.Pool, folded: History) -> None:
    assert "agree" in await check_identity(CareStore(pool))
    assert await kept_differences(pool) == 0


@pytest.mark.parametrize(("damage", "named"), DAMAGES)
async def test_a_broken_identity_raises_the_alert(pool: asyncpg.Pool, folded: History, damage: str, named: str) -> None:
    await pool.execute(damage)
    with pytest.raises(JobFailed, match=named):
        await check_identity(CareStore(pool))
    assert await kept_differences(pool) > 0


async def test_a_score_that_ranking_has_not_told_yet_is_no_difference(pool: asyncpg.Pool, folded: History) -> None:
    score = await pool.fetchval("SELECT sum(accepted - reversed)::bigint FROM store_totals WHERE store_id = 's-0000'")
    await pool.execute(WRONG_STANDING.replace("9999", str(score - 2)))
    moved = """UPDATE ledger SET decided_at = now(), occurred_at = now() - redeemed.place * interval '1 minute'
        FROM (SELECT redemption_id, row_number() OVER (ORDER BY redemption_id) AS place FROM ledger WHERE store_id = 's-0000'
            AND NOT EXISTS (SELECT FROM reversals AS r WHERE r.redemption_id = ledger.redemption_id) LIMIT 2) AS redeemed
        WHERE ledger.redemption_id = redeemed.redemption_id"""
    await pool.execute("SELECT ensure_month(now()::date, ''), ensure_month((now() - interval '1 day')::date, '')")
    assert await pool.execute(moved) == "UPDATE 2"
    assert not [d for d in await CareStore(pool).differences() if d.what == "score of ranking"]
    await pool.execute("UPDATE ledger SET decided_at = now() - interval '1 hour' WHERE decided_at > now() - interval '1 hour'")
    assert [d.store_id for d in await CareStore(pool).differences() if d.what == "score of ranking"] == ["s-0000"]


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


async def test_a_copy_tells_of_a_comparison_that_a_timer_ran_apart_from_it(kafka: KafkaConnection, database: Database) -> None:
    url = await database("reporting")
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "REPORTING_DATABASE_URL": url,
    }
    async with reporting_service(kafka, url, REPORTING_TIMER="false") as service:

        async def compared_at() -> float:
            async with await service.get("/metrics") as response:
                text = await response.text()
            (line,) = [line for line in text.splitlines() if line.startswith(f"{COMPARED_AT} ")]
            return float(line.split()[1])

        async def never() -> bool:
            return await compared_at() == 0

        async def just_now() -> bool:
            return await compared_at() >= int(started.timestamp())

        await poll_until(never, what="nobody having compared yet")
        started = datetime.now(UTC)
        command = (sys.executable, "-m", "counterfoil", "jobs", "run", "identity", "--date", f"{started:%F}")
        job = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **environment}, stdout=asyncio.subprocess.DEVNULL
        )
        assert await job.wait() == 0
        await poll_until(just_now, what="the comparison of another process in this one's metrics")


async def test_reports_are_delivered_to_folder_bucket_and_mailbox(
    kafka: KafkaConnection, database: Database, publisher: Publisher, tmp_path: Path
) -> None:
    history, day = make_history(5, events=150, partitions=2), date(2026, 11, 3)
    url = await database("reporting")
    await counted(kafka, url, publisher, history)
    async with mail_server() as gone:
        pass
    with bucket_server() as store:
        settings = settings_of(
            kafka,
            url,
            REPORTING_FOLDER=str(tmp_path),
            REPORTING_S3_ENDPOINT=store.endpoint,
            REPORTING_S3_BUCKET=store.bucket,
            REPORTING_S3_ACCESS_KEY=store.access_key,
            REPORTING_S3_SECRET=store.secret,
            REPORTING_SMTP_URL=gone.url,
            REPORTING_MAIL_TO="boss@example.com, Finance <money@example.com>",
        )
        first = await run_job(settings, "daily-report", day)
        assert (first.state, first.attempts) == ("failed", 1)
        assert "mail server did not take it" in first.message
        async with open_pool(url, schema="reporting") as pool:
            await pool.execute("UPDATE job_runs SET finished_at = finished_at - interval '6 minutes'")
        async with mail_server(gone.port) as mails:
            run = await run_job(settings, "daily-report", day)
            assert (run.state, run.attempts) == ("done", 2), run.message
            assert (await run_job(settings, "daily-report", day)).started_at == run.started_at, "it was done before"
        stored = store.objects()
    place = tmp_path / "spring" / "daily" / "2026-11-02"
    assert set(stored) == {f"spring/daily/2026-11-02/{name}" for name in ("report.pdf", "performance.csv")}
    assert all((place / Path(key).name).read_bytes() == body for key, body in stored.items()), "the last run's, everywhere"
    assert len(pypdfium2.PdfDocument(place / "report.pdf")) > 10
    ((addresses, mail),) = mails.taken
    assert addresses == ["boss@example.com", "money@example.com"]
    assert mail["Subject"].strip().startswith("Spring 2026, 2 Nov 2026: ")
    attached = {part.get_filename(): part.get_content() for part in mail.iter_attachments()}
    assert attached["report.pdf"] == stored["spring/daily/2026-11-02/report.pdf"]
    lines = {line.name: line for line in await list_jobs(settings)}
    assert lines["daily-report"].last is not None
    assert lines["rebuild"].next_due is None


async def counted(kafka: KafkaConnection, url: str, publisher: Publisher, history: History) -> None:
    """Publishes a history and returns when a service has counted it."""
    async with reporting_service(kafka, url, REPORTING_TIMER="false") as service:
        await publish_reference(publisher, history)
        for partition, outcomes in enumerate(history.partitions):
            await publish_outcomes(publisher, partition, outcomes)
        await service.wait_for(sum(f.accepted for f in recompute(history).values()))


async def test_a_bucket_refuses_a_wrong_key_and_the_run_says_so() -> None:
    delivery = Delivery(place="spring", files={"a.csv": b"a"}, subject="", text="")
    with bucket_server() as store:
        for secret, fails in ((store.secret, False), ("wrong", True)):
            bucket = Bucket(
                endpoint=store.endpoint, name=store.bucket, region="us-east-1", access_key=store.access_key, secret_key=secret
            )
            to = Destinations(folder=None, bucket=bucket, mailbox=None)
            with pytest.raises(Retryable, match="403") if fails else nullcontext():
                await deliver(delivery, to)


def _without_last(history: History, count: int) -> History:
    return History(
        campaign=history.campaign,
        stores=history.stores,
        batches=history.batches,
        voids=history.voids,
        partitions=[partition[:-count] for partition in history.partitions],
    )
