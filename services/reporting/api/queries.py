"""What the routes take: periods and filters, and what the caller may see."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from services.reporting.domain.campaigns import Access, Asked
from services.reporting.domain.periods import InvalidPeriod
from services.reporting.handlers.downloads import Interval
from services.reporting.handlers.selecting import NotThere, Selected, select
from services.reporting.store.reading import FigureStore
from shared.web.problems import Problem, invalid_field, not_found
from shared.web.routes import Call, Fields
from shared.web.tokens import Principal

LIST_LENGTH = 20_000


class PeriodQuery(Fields):
    """A period and filters; several values are separated by commas."""

    since: str | None = Field(
        default=None, alias="from", max_length=40, description="Start: a date (that day in the campaign's zone) or a time"
    )
    until: str | None = Field(
        default=None, alias="to", max_length=40, description="End, excluded: a time, or a date for that whole day"
    )
    store_id: str | None = Field(default=None, max_length=LIST_LENGTH, description="Only these stores")
    region: str | None = Field(default=None, max_length=LIST_LENGTH, description="Only stores of these regions")
    chain: str | None = Field(default=None, max_length=LIST_LENGTH, description="Only stores of these chains")

    @property
    def asked(self) -> Asked:
        return Asked(
            since=self.since or None,
            until=self.until or None,
            stores=_values(self.store_id),
            regions=_values(self.region),
            chains=_values(self.chain),
        )


class SheetQuery(PeriodQuery):
    """Of a file that streams."""

    header: Literal["plain"] | None = Field(default=None, description="plain leaves the row `Time UTC` out, for programs")


class TimeseriesQuery(SheetQuery):
    """Of timeseries.csv."""

    interval: Interval = Field(default=Interval.HOUR, description="A row an hour or a day of the campaign's zone")


class LedgerQuery(SheetQuery):
    """Of ledger.csv."""

    skip_rows: int = Field(
        default=0, ge=0, le=10**15, description="Rows to leave out at the start, to go on with a broken download"
    )


def access_of(principal: Principal) -> Access:
    """`reports` sees everything, `store:` and `chain:` their own (`semantics.md`)."""
    if principal.has("reports"):
        return Access(everything=True)
    return Access(everything=False, stores=principal.named("store"), chains=principal.named("chain"))


async def selected(store: FigureStore, call: Call[Any, Any]) -> Selected:
    """The selection that a call asks for. Raises Problem 404 and 422."""
    try:
        return await select(store, call.path["campaign_id"], call.query.asked, access_of(call.caller), now=datetime.now(UTC))
    except NotThere as error:
        raise not_found(error.what) from None
    except InvalidPeriod as error:
        raise period_problem(error) from None


def period_problem(error: InvalidPeriod) -> Problem:
    return invalid_field(error.field, str(error))


def _values(text: str | None) -> tuple[str, ...] | None:
    return None if not text else tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
