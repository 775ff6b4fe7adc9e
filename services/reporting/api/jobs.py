"""Runs of jobs, to be looked at."""

from datetime import datetime
from typing import Any

from pydantic import Field

from services.reporting.domain.schedules import JobName
from services.reporting.store.jobs import Run, RunStore
from shared.web.routes import Call, Fields, Route


class RunsQuery(Fields):
    """Which runs."""

    job: JobName | None = Field(default=None, description="Only of this job")
    limit: int = Field(default=50, ge=1, le=1000, description="Runs at most")
    cursor: str | None = Field(default=None, max_length=18, pattern=r"^\d+$", description="next_cursor of the part before")


class RunItem(Fields):
    """A run; `message` says what came of it."""

    id: int
    job: str
    due_at: datetime
    by_hand: bool
    attempts: int
    started_at: datetime
    finished_at: datetime | None
    state: str
    message: str


class RunsAnswer(Fields):
    """Runs, newest first, and the last comparison of the figures, whenever it was."""

    items: list[RunItem]
    identity: RunItem | None
    next_cursor: str | None


class Jobs:
    """Answers with runs of jobs."""

    def __init__(self, runs: RunStore) -> None:
        self._runs = runs

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/jobs/runs",
                handler=self.runs,
                summary="Runs of jobs, newest first",
                scopes=("reports",),
                query=RunsQuery,
                answer=RunsAnswer,
            )
        ]

    async def runs(self, call: Call[Any, Any]) -> RunsAnswer:
        query = call.query
        before = int(query.cursor) if query.cursor else None
        found = await self._runs.runs(job=query.job, before=before, limit=query.limit)
        checks = await self._runs.runs(job=JobName.IDENTITY, before=None, limit=5)
        identity = next((check for check in checks if check.finished_at), None)
        return RunsAnswer(
            items=[_item(run) for run in found],
            identity=_item(identity) if identity else None,
            next_cursor=str(found[-1].id) if len(found) == query.limit else None,
        )


def _item(run: Run) -> RunItem:
    return RunItem(**{name: getattr(run, name) for name in run.__slots__})
