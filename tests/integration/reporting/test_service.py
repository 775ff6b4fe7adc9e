"""The service as its callers meet it: figures and files over HTTP, from what is on the topics."""

import asyncio
import csv
import gzip
import hashlib
import io
import re

import aiohttp
import pytest

from services.reporting.domain.charts.base import ChartName
from services.reporting.handlers.downloads import LEDGER_COLUMNS, PERFORMANCE_COLUMNS, Sheet
from services.reporting.store.reading import Download, FigureStore
from shared.contracts.redemption import OutcomeName
from tests.integration.reporting.system import Reporting
from tests.unit.reporting.history import History
from tests.unit.reporting.recomputation import recompute

pytestmark = pytest.mark.asyncio(loop_scope="module")
C = "/v1/campaigns/spring"


async def test_summary_and_performance_agree_with_the_history(reporting: Reporting, history: History) -> None:
    wanted = recompute(history)
    summary = await reporting.json(f"{C}/summary")
    assert summary["campaign_id"] == "spring"
    for name in ("issued", "accepted", "redeemed", "reversed", "void", "score"):
        assert summary[name] == sum(getattr(f, name) for f in wanted.values()), name
    assert summary["issued"] == summary["redeemed"] + summary["void"] + summary["outstanding"] + summary["expired"]
    assert summary["lag_seconds"] < 30
    rows = {row["store_id"]: row for row in await reporting.rows(f"{C}/performance.csv")}
    assert set(rows) == set(wanted)
    for store_id, figures in wanted.items():
        row = rows[store_id]
        assert [int(row[n]) for n in ("accepted", "redeemed", "reversed", "void", "unique_players", "rejected")] == [
            figures.accepted,
            figures.redeemed,
            figures.reversed,
            figures.void,
            figures.unique_players,
            figures.rejected,
        ]
        assert row["rank"] == ("" if figures.rank is None else str(figures.rank))
        assert float(row["rate"].removesuffix("%")) == pytest.approx(100 * figures.redeemed / figures.issued, abs=1e-4)


async def test_files_are_in_the_excel_dialect_and_harmless(reporting: Reporting) -> None:
    text = await reporting.text(f"{C}/performance.csv")
    lines = text.split("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert re.fullmatch(r"Time UTC,\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", lines[0])
    assert lines[1] == ",".join(PERFORMANCE_COLUMNS)
    names = {row[0]: row[1] for row in csv.reader(io.StringIO(text, newline="")) if len(row) > 2}
    assert names["s-0001"] == "'=SUM(A1)"
    assert names["s-0002"] == "Ελλάδα, Αθήνα"
    assert names["s-0006"] == 'Bob\'s "Best"'
    assert names["s-0007"] == "'@home"
    assert names["s-0008"] == "'-5 °C"
    plain = await reporting.text(f"{C}/performance.csv?header=plain")
    assert plain.split("\r\n")[0] == lines[1]


async def test_files_are_squeezed_where_asked_for(reporting: Reporting) -> None:
    async with await reporting.get(f"{C}/ledger.csv?header=plain", **{"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        squeezed = await response.text()
    assert squeezed == await reporting.text(f"{C}/ledger.csv?header=plain")
    assert gzip.compress(b"")[:2] == b"\x1f\x8b"


async def test_a_download_is_described_with_rows_bytes_and_hash(reporting: Reporting) -> None:
    async with await reporting.get(f"{C}/ledger.csv") as response:
        body = await response.read()
        link = response.headers["Link"].partition(">")[0].removeprefix("<")
    found = await reporting.json(link)
    assert found["sha256"] == hashlib.sha256(body).hexdigest()
    assert (found["bytes"], found["rows"]) == (len(body), body.count(b"\n") - 2)
    async with await reporting.get(link, "t-store") as other:
        assert other.status == 404


async def test_a_download_is_described_before_it_ends(reporting: Reporting, monkeypatch: pytest.MonkeyPatch) -> None:
    describe = FigureStore.describe_download

    async def slowly(self: FigureStore, download: Download, *, token_id: str) -> None:
        await asyncio.sleep(0.3)
        await describe(self, download, token_id=token_id)

    monkeypatch.setattr(FigureStore, "describe_download", slowly)
    async with await reporting.get(f"{C}/rejections.csv") as response:
        await response.read()
        link = response.headers["Link"].partition(">")[0].removeprefix("<")
    headers = {"Authorization": "Bearer t-reports"}  # over a connection that does not wait for the end of the first request
    async with aiohttp.ClientSession() as other, other.get(reporting.url + link, headers=headers) as described:
        assert described.status == 200


async def test_every_file_has_its_columns(reporting: Reporting, history: History) -> None:
    heads = {
        "ledger": ",".join(LEDGER_COLUMNS),
        "rejections": "day,platform,outcome,count,players",
        "timeseries": "hour,accepted,rejected,reversed",
        "standings": "board,window,position,rank,store,score,movement",
    }
    for name, columns in heads.items():
        assert (await reporting.text(f"{C}/{name}.csv")).split("\r\n")[1] == columns
    accepted = sum(o.outcome is OutcomeName.REDEEMED and not o.duplicate for o in history.outcomes)
    assert len(await reporting.rows(f"{C}/ledger.csv")) == accepted
    assert sum(int(row["accepted"]) for row in await reporting.rows(f"{C}/timeseries.csv?interval=day")) == accepted


async def test_filters_choose_period_stores_regions_and_chains(reporting: Reporting, history: History) -> None:
    of_period = await reporting.rows(f"{C}/performance.csv?from=2026-11-01&to=2026-11-01")
    assert {row["accepted"] for row in of_period} != {"0"}
    ledger = await reporting.rows(f"{C}/ledger.csv?from=2026-11-01&to=2026-11-01")
    assert sum(int(row["accepted"]) for row in of_period) == len(ledger)
    assert all("2026-11-01T04:00" <= row["occurred_at"] < "2026-11-02T05:00" for row in ledger), "25 hours: clocks go back"
    two = await reporting.rows(f"{C}/performance.csv?store_id=s-0000,s-0003")
    assert [row["store_id"] for row in two] == ["s-0000", "s-0003"]
    californian = {store.id for store in history.stores if store.region == "US-CA"}
    assert {row["store_id"] for row in await reporting.rows(f"{C}/ledger.csv?region=US-CA")} <= californian


async def test_a_store_sees_its_own_figures_only(reporting: Reporting) -> None:
    mine = await reporting.rows(f"{C}/performance.csv", "t-store")
    assert [row["store_id"] for row in mine] == ["s-0000"]
    ledger = await reporting.rows(f"{C}/ledger.csv", "t-store")
    assert {row["store_id"] for row in ledger} == {"s-0000"}
    assert all(re.fullmatch(r"[0-9a-f]{24}", row["player_id"]) for row in ledger)
    async with await reporting.get(f"{C}/performance.csv?store_id=s-0001", "t-store") as response:
        assert response.status == 404
    chain = await reporting.rows(f"{C}/performance.csv", "t-chain")
    assert {row["chain"] for row in chain} == {"playtime"}


@pytest.mark.parametrize(
    ("path", "token", "status", "names"),
    [
        ("/v1/campaigns/nowhere/summary", "t-reports", 404, "campaign"),
        (f"{C}/performance.csv?store_id=nowhere", "t-reports", 404, "store"),
        (f"{C}/performance.csv?region=Atlantis", "t-reports", 404, "region"),
        (f"{C}/performance.csv?from=2026-11-03&to=2026-11-01", "t-reports", 422, "from"),
        (f"{C}/ledger.csv?from=1926-01-01&to=2026-01-01", "t-reports", 422, "from"),
        (f"{C}/ledger.csv?from=1980-01-01&to=2026-01-01", "t-reports", 422, "to"),
        (f"{C}/ledger.csv?from=yesterday", "t-reports", 422, "from"),
        (f"{C}/timeseries.csv?from=2026-11-01T10:30:00Z", "t-reports", 422, "from"),
        (f"{C}/timeseries.csv?interval=minute", "t-reports", 422, "interval"),
        (f"{C}/performance.csv?shop=1", "t-reports", 422, "shop"),
        (f"{C}/ledger.csv?skip_rows={10**30}", "t-reports", 422, "skip_rows"),
        (f"{C}/nothing.csv", "t-reports", 404, "docs"),
        (f"{C}/summary", "t-platform", 404, "resource"),
        (f"{C}/summary", "t-unknown", 401, "token"),
    ],
)
async def test_bad_input_is_refused_with_its_reason(
    reporting: Reporting, path: str, token: str, status: int, names: str
) -> None:
    async with await reporting.get(path, token) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        assert names in await response.text()


@pytest.mark.parametrize("path", [*(f"{sheet}.csv" for sheet in Sheet), "performance.xlsx", "report.pdf", "charts/daily.csv"])
async def test_every_file_refuses_a_period_that_ends_before_it_starts_and_one_of_a_century(
    reporting: Reporting, path: str
) -> None:
    for since, until, names in (("2026-11-03", "2026-11-01", "from"), ("1980-01-01", "2079-12-31", "to")):
        async with await reporting.get(f"{C}/{path}?from={since}&to={until}") as response:
            assert response.status == 422
            assert [error["field"] for error in (await response.json())["errors"]] == [names]
    async with await reporting.get(f"/v1/campaigns/nowhere/{path}") as response:
        assert response.status == 404


MAGIC = {"svg": (b"<?xml", "image/svg+xml"), "png": (b"\x89PNG", "image/png"), "pdf": (b"%PDF-", "application/pdf")}


@pytest.mark.parametrize("image", MAGIC)
async def test_every_chart_comes_in_every_format(reporting: Reporting, image: str) -> None:
    for name in ChartName:
        async with await reporting.get(f"{C}/charts/{name}.{image}") as response:
            assert response.status == 200, (name, await response.text())
            assert response.content_type == MAGIC[image][1]
            assert (await response.read()).startswith(MAGIC[image][0])


async def test_a_chart_shows_what_the_history_says(reporting: Reporting, history: History) -> None:
    svg = await reporting.text(f"{C}/charts/top-stores.svg")
    assert "<title>Top stores · Spring 2026</title>" in svg
    assert "as of" in svg
    wanted = {key: f for key, f in recompute(history).items() if f.rank is not None}
    best = max(wanted.values(), key=lambda f: f.score)
    rows = await reporting.rows(f"{C}/charts/top-stores.csv")
    assert [int(row["redemptions"]) for row in rows] == sorted((f.score for f in wanted.values()), reverse=True)
    assert f">{best.score}</text>" in svg
    daily = await reporting.json(f"{C}/charts/daily.json")
    assert daily["rows"][-1][2] == sum(f.score for f in recompute(history).values())


async def test_a_dark_chart_differs_and_an_unchanged_one_is_not_sent_again(reporting: Reporting) -> None:
    assert "#14171a" in (await reporting.text(f"{C}/charts/daily.svg?theme=dark")).lower()
    async with await reporting.get(f"{C}/charts/daily.svg") as first:
        tag = first.headers["ETag"]
    async with await reporting.get(f"{C}/charts/daily.svg", **{"If-None-Match": tag}) as second:
        assert second.status == 304


@pytest.mark.parametrize(
    ("path", "status", "names"),
    [("pie.svg", 404, "top-stores"), ("daily.gif", 404, "svg"), ("daily", 404, "svg"), ("daily.svg?theme=pink", 422, "theme")],
)
async def test_a_chart_that_is_not_there_is_refused(reporting: Reporting, path: str, status: int, names: str) -> None:
    async with await reporting.get(f"{C}/charts/{path}") as response:
        assert response.status == status
        assert names in await response.text()
