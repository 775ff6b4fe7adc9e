"""The page of head office in a real Chromium: figures, charts, filters in the address, tables, downloads, signing in."""

import csv
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from services.reporting.app import ReportingSettings, run_job
from shared.kafka.publishing import Publisher
from shared.postgres.connections import open_pool
from tests.integration.reporting.system import Reporting, publish_outcomes, publish_reference, reporting_service, settings_of
from tests.support.axe import axe_findings
from tests.support.databases import Databases
from tests.support.debian import CHROMIUM, find_program
from tests.support.polling import poll_until
from tests.support.topics import own_topics
from tests.unit.reporting.history import ZONE, History, make_history
from tests.unit.reporting.recomputation import recompute

pytestmark = pytest.mark.asyncio(loop_scope="module")
DESK = {"width": 1280, "height": 900}
WIDE = {"width": 1600, "height": 900}
PHONE = {"width": 390, "height": 844}
ONE_ROW = "ctid = (SELECT min(ctid) FROM store_totals WHERE store_id = 's-0000' AND batch_id = 'b-0')"


@pytest.fixture(scope="module")
def history() -> History:
    return make_history(42, stores=10, events=300, partitions=2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(kafka_server: str, databases: Databases) -> AsyncIterator[ReportingSettings]:
    """Where the module's service works: topics and a database of its own."""
    url = await databases.make("reporting")
    async with own_topics(kafka_server) as kafka:
        yield settings_of(kafka, url)
    await databases.drop(url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reporting(at: ReportingSettings, history: History) -> AsyncIterator[Reporting]:
    async with Publisher(at.kafka) as publisher, reporting_service(at.kafka, at.database_url) as service:
        await publish_reference(publisher, history)
        for partition, outcomes in enumerate(history.partitions):
            await publish_outcomes(publisher, partition, outcomes)
        await service.wait_for(sum(figures.accepted for figures in recompute(history).values()))
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    chromium = find_program(CHROMIUM)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(chromium.path), args=["--no-sandbox"], env=dict(chromium.environment) or None
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def signed_in(
    browser: Browser,
    reporting: Reporting,
    token: str = "t-reports",
    path: str = "/",
    scripts: Sequence[str] = (),
    **context: Any,
) -> AsyncIterator[Page]:
    """The page after signing in, drawn to its end. An error on the page or a word in its console fails the test."""
    opened = await browser.new_context(**{"viewport": DESK, "locale": "en-GB", **context})
    page = await opened.new_page()
    for script in scripts:
        await page.add_init_script(script)
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    await page.goto(reporting.url + path)
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await drawn(page)
    yield page
    await opened.close()
    assert said == []


async def drawn(page: Page) -> None:
    await expect(page.locator("#main[data-ready=yes]")).to_be_attached(timeout=60_000)


async def shot(page: Page, name: str) -> None:
    """A picture of the page for whoever sets COUNTERFOIL_PICTURES to a folder."""
    folder = os.environ.get("COUNTERFOIL_PICTURES")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


async def test_the_page_shows_the_figures_of_the_history(browser: Browser, reporting: Reporting, history: History) -> None:
    wanted = recompute(history)
    async with signed_in(browser, reporting) as page:
        await expect(page.locator("#figure-redeemed")).to_have_text(str(sum(f.redeemed for f in wanted.values())))
        await expect(page.locator("#figure-outstanding")).to_have_text(str(sum(f.outstanding for f in wanted.values())))
        await expect(page.locator("#fresh")).to_contain_text("behind")
        await expect(page.locator(".chart[aria-busy=false]")).to_have_count(9)
        assert await page.locator(".chart .uplot").count() >= 6
        await expect(page.locator("#stores tbody tr")).to_have_count(10)
        await expect(page.locator("#identity")).to_contain_text("agree")
        await shot(page, "desk-light")


async def test_the_legend_says_what_is_under_the_pointer_and_without_one_the_last_day(
    browser: Browser, reporting: Reporting, history: History
) -> None:
    total = f"{sum(f.score for f in recompute(history).values()):,}"
    async with signed_in(browser, reporting) as page:
        legend, plot = page.locator(".chart[data-chart=daily] .u-legend"), page.locator(".chart[data-chart=daily] .u-over")
        await expect(legend).to_contain_text(f"In all{total}")
        await plot.hover(position={"x": 5, "y": 20})
        await expect(legend).not_to_contain_text(f"In all{total}")
        await page.mouse.move(1, 1)
        await expect(legend).to_contain_text(f"In all{total}")


KEEP_WORDS = """const draw = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
  (this.canvas.words ??= []).push(text);
  return draw.call(this, text, ...at);
};
const clear = CanvasRenderingContext2D.prototype.clearRect;
CanvasRenderingContext2D.prototype.clearRect = function (...all) { this.canvas.words = []; return clear.apply(this, all); };"""


async def test_a_day_has_one_label_on_an_axis_of_few_days(browser: Browser, reporting: Reporting, history: History) -> None:
    days = {o.occurred_at.astimezone(ZONE).date() for o in history.outcomes}
    path = f"/?from={min(days).isoformat()}&to={(min(days) + timedelta(days=3)).isoformat()}"
    async with signed_in(browser, reporting, path=path, scripts=[KEEP_WORDS], viewport=WIDE) as page:
        words = await page.locator(".chart canvas").evaluate_all(
            "all => all.map(one => one.words.filter(word => /^\\d+ [A-Z]/.test(word)))"
        )
    assert any(words), "some charts are of days"
    assert all(len(set(labels)) == len(labels) for labels in words), words


async def test_a_charts_data_is_one_click_away(browser: Browser, reporting: Reporting, history: History) -> None:
    async with signed_in(browser, reporting) as page:
        chart = page.locator(".chart[data-chart=daily]")
        await chart.get_by_role("button", name="Table").click()
        last = chart.locator("table tbody tr").last.locator("td")
        await expect(last.nth(2)).to_have_text(str(sum(f.score for f in recompute(history).values())))
        await chart.get_by_role("button", name="Picture").click()
        shown = chart.locator(".picture img")
        await expect(shown).to_have_attribute("alt", re.compile("Redemptions by day · Spring 2026: "))
        await expect(shown).to_have_js_property("naturalWidth", 960)
        await expect(chart.locator(".data")).to_be_hidden()
        async with page.context.expect_page() as opened:
            await chart.get_by_role("link", name="SVG").click(modifiers=["Control"])
        picture = await opened.value
        await expect(picture.locator("svg title").first).to_contain_text("Redemptions by day")
        background = await picture.locator("svg rect").nth(1).evaluate("node => getComputedStyle(node).fill")
        assert background == "rgb(251, 250, 247)", "the policy lets the picture have its colours"
        assert await picture.evaluate("document.fonts.ready.then(fonts => [...fonts].some(font => font.status === 'loaded'))")


async def test_a_broken_identity_is_seen_on_the_page_and_in_the_metrics(
    browser: Browser, reporting: Reporting, at: ReportingSettings
) -> None:
    """One figure is changed behind the service's back; a check that runs by itself finds it, and it is put right again."""
    async with open_pool(at.database_url, schema="reporting") as pool:
        for change, wanted, seen in (
            ("+ 1", "failed", "3 figures do not agree: spring, store s-0000, batch b-0: reversed"),
            ("- 1", "done", "agree"),
        ):
            await pool.execute(f"UPDATE store_totals SET reversed = reversed {change} WHERE {ONE_ROW}")
            assert (await run_job(at, "identity")).state == wanted
            await poll_until(partial(shown_difference, reporting, wanted == "failed"), what="the metric")
            async with signed_in(browser, reporting) as page:
                await expect(page.locator("#identity")).to_contain_text(seen)
                await expect(page.locator("#identity")).to_have_class("alarm" if wanted == "failed" else "muted")
                await shot(page, f"identity-{wanted}")


async def shown_difference(reporting: Reporting, failed: bool) -> bool:
    found = re.search(r"^counterfoil_reporting_identity_differences ([\d.]+)$", await reporting.text("/metrics"), re.MULTILINE)
    return found is not None and (float(found[1]) > 0) is failed


async def test_filters_live_in_the_address(browser: Browser, reporting: Reporting, history: History) -> None:
    async with signed_in(browser, reporting) as page:
        await page.get_by_label("Region").select_option("US-CA")
        await page.get_by_label("From").fill("2026-11-01")
        await page.get_by_role("button", name="Show", exact=True).click()
        await drawn(page)
        assert "region=US-CA" in page.url
        assert "from=2026-11-01" in page.url
        shown = await page.locator("#stores tbody td.name").evaluate_all("cells => cells.map(cell => cell.title.split(':')[0])")
        assert set(shown) == {store.id for store in history.stores if store.region == "US-CA"}
        await page.reload()
        await drawn(page)
        await expect(page.get_by_label("Region")).to_have_value("US-CA")
        await page.goto(f"{reporting.url}/?campaign=spring&store_id=nowhere")
        await expect(page.get_by_role("alert")).to_contain_text("no such store")


async def test_stores_are_sorted_and_found(browser: Browser, reporting: Reporting, history: History) -> None:
    async with signed_in(browser, reporting) as page:
        await page.locator("#stores").get_by_role("button", name="Redeemed").click()
        redeemed = await page.locator("#stores tbody td.bar").all_inner_texts()
        assert [int(text) for text in redeemed] == sorted((f.redeemed for f in recompute(history).values()), reverse=True)
        await expect(page.locator("#stores th[data-column=redeemed]")).to_have_attribute("aria-sort", "descending")
        await page.get_by_label("Find").fill("متجر")
        await expect(page.locator("#stores tbody tr")).to_have_count(1)
        await expect(page.locator("#found")).to_have_text("1 of 10 stores")


async def test_a_download_says_how_far_it_is(browser: Browser, reporting: Reporting, tmp_path: Path) -> None:
    async with signed_in(browser, reporting) as page:
        line = page.locator(".downloads li", has_text="performance.csv")
        async with page.expect_download() as started:
            await line.get_by_role("link").click()
        download = await started.value
        await download.save_as(tmp_path / "performance.csv")
        await expect(line.locator(".progress")).to_contain_text("done")
    with (tmp_path / "performance.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][0] == "Time UTC"
    assert len(rows) == 12


async def test_a_store_sees_its_own_figures(browser: Browser, reporting: Reporting, history: History) -> None:
    async with signed_in(browser, reporting, token="t-store") as page:
        wanted = recompute(history)["s-0000"]
        await expect(page.locator("#figure-redeemed")).to_have_text(str(wanted.redeemed))
        await expect(page.locator("#stores tbody tr")).to_have_count(1)
        await expect(page.get_by_role("link", name="report.pdf")).to_have_count(0)


async def test_a_wrong_token_is_refused_and_signing_out_forgets(browser: Browser, reporting: Reporting) -> None:
    async with signed_in(browser, reporting) as page:
        cookie = next(c for c in await page.context.cookies() if c["name"] == "counterfoil_token")
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Token")).to_be_visible()
        assert await page.context.cookies() == []
    opened = await browser.new_context()
    page = await opened.new_page()
    for token in ("nonsense", "t-platform"):
        await page.goto(reporting.url)
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("not known")
    await opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
async def test_nobody_is_shut_out(browser: Browser, reporting: Reporting, scheme: str, viewport: dict[str, int]) -> None:
    async with signed_in(browser, reporting, color_scheme=scheme, viewport=viewport) as page:
        assert await axe_findings(page) == []
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], "nothing sticks out sideways"
        cut = "plots => plots.filter(plot => plot.scrollHeight > plot.clientHeight).map(plot => plot.parentNode.dataset.chart)"
        assert await page.locator(".plot").evaluate_all(cut) == [], "nor is anything of a chart cut off"
        await shot(page, f"{'phone' if viewport is PHONE else 'desk'}-{scheme}")


async def test_the_page_is_used_by_keyboard(browser: Browser, reporting: Reporting) -> None:
    async with signed_in(browser, reporting) as page:
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the figures")).to_be_focused()
        toggle = page.locator(".chart[data-chart=share] .toggle")
        await toggle.focus()
        await page.keyboard.press("Enter")
        await expect(toggle).to_have_attribute("aria-pressed", "true")
        await expect(page.locator(".chart[data-chart=share] table")).to_be_visible()
