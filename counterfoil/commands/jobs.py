"""`counterfoil jobs`: what the services run by themselves or have for mending, run now and waited for."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final

import typer

from counterfoil.environment import CommandError
from counterfoil.printing import AsJson, print_json, print_table
from shared.environment import read_settings

app = typer.Typer(no_args_is_help=True)

REPORTING: Final = "reporting."


@dataclass(frozen=True, slots=True)
class Job:
    """A job that runs by hand only. `run` gives what to print: an object with a `message`."""

    meaning: str
    run: Callable[[], Coroutine[Any, Any, dict[str, Any]]]


async def _rebuild_register_marks() -> dict[str, Any]:
    from services.codegen.app import rebuild_register_marks

    await rebuild_register_marks()
    return {"message": "the marks are forgotten; a running codegen reads all outcomes again"}


async def _rebuild_ranking() -> dict[str, Any]:
    from services.ranking.app import CannotRecount, RankingSettings, RebuildRunning, rebuild

    try:
        done = await rebuild(read_settings(RankingSettings))
    except (CannotRecount, RebuildRunning) as error:
        raise CommandError(str(error)) from None
    verb = "differed and were put right" if done.swapped else "differed"
    counts = {"rows": done.rows, "differences": done.differences, "outcomes_read": done.outcomes_read, "swapped": done.swapped}
    return {"message": f"{done.differences:,} of {done.rows:,} rows {verb}; {done.outcomes_read:,} outcomes read", **counts}


BY_HAND: Final[Mapping[str, Job]] = {
    "rebuild-register-marks": Job("reads from all outcomes again which codes were redeemed", _rebuild_register_marks),
    "ranking-rebuild": Job("counts the scores again from all outcomes, and puts right what differs", _rebuild_ranking),
}
"""The others are reporting's, which keeps a record of their runs."""


@app.command("list")
def show_all(json: AsJson = False) -> None:
    """Lists all jobs, when they are due, and how they ended last."""
    lines = [{"name": name, "next_due": None, "last": None, "meaning": job.meaning} for name, job in BY_HAND.items()]
    lines += asyncio.run(_reporting_lines())
    if json:
        print_json(lines)
    else:
        print_table(("name", "next_due", "last", "meaning"), ({**line, "last": _last(line["last"])} for line in lines))


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The job's name, as listed")],
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="The run that was due on this day, unless it was done then"),
    ] = None,
    json: AsJson = False,
) -> None:
    """Runs a job now and waits for it."""
    if name in BY_HAND:
        if day is not None:
            raise CommandError(f"{name} is about all days; --date does not go with it")
        done = asyncio.run(BY_HAND[name].run())
    else:
        done = asyncio.run(_run_of_reporting(name, day.date() if day else None))
    if json:
        print_json(done)
    else:
        typer.echo(f"{name}: {done['message']}")


def _last(run: Any) -> str:
    return f"{run['state']} {run['started_at']:%Y-%m-%d %H:%M}" if run else ""


async def _reporting_lines() -> list[dict[str, Any]]:
    from services.reporting.app import ReportingSettings, list_jobs

    jobs = await list_jobs(read_settings(ReportingSettings))
    return [
        {"name": REPORTING + job.name, "next_due": job.next_due, "last": _record(job.last), "meaning": job.meaning}
        for job in jobs
    ]


async def _run_of_reporting(name: str, day: date | None) -> dict[str, Any]:
    from services.reporting.app import ReportingSettings, run_job

    settings = read_settings(ReportingSettings)
    try:
        run = await run_job(settings, name, day)
    except ValueError as error:
        raise CommandError(str(error)) from None
    if run.state == "failed":
        raise CommandError(f"{name} failed: {run.message}")
    return _record(run) or {}


def _record(run: Any) -> dict[str, Any] | None:
    names = ("job", "due_at", "by_hand", "started_at", "finished_at", "state", "message")
    return {name: getattr(run, name) for name in names} if run else None
