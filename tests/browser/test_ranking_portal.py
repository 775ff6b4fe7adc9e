"""The page for stores in a real Chromium: on a phone and at a desk, live, certified, for who cannot see or move."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from tests.integration.ranking.system import Database, Reader, Topics, ranking, redeemed, until_total
from tests.support.axe import axe_findings
from tests.support.debian import CHROMIUM, find_program

PHONE: ViewportSize = {"width": 390, "height": 844}
DESK: ViewportSize = {"width": 1280, "height": 900}
BOARD_SCRIPT = Path(__file__).parents[2] / "services" / "ranking" / "web" / "assets" / "board.js"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium = find_program(CHROMIUM)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(chromium.path), args=["--no-sandbox"], env=dict(chromium.environment) or None
        )
        yield browser
        await browser.close()


@pytest.fixture
async def topics(kafka: KafkaConnection) -> AsyncIterator[Topics]:
    """Six stores, one with an Arabic and one with a very long name, and four days of redemptions."""
    async with Publisher(kafka) as publisher:
        topics = Topics(publisher)
        await topics.tokens()
        await topics.campaign(name="Spring 2026")
        names = [
            "Main Street",
            "Ωmega Παιχνίδια",
            "متجر الألعاب",
            "Кубики",
            "A Name Of Some Sixty Letters That Goes On And On For Ever",
            "Last",
        ]
        for place, name in enumerate(names, start=1):
            await topics.store(f"s-{place}", name=name, chain="playtime" if place < 4 else None, region=f"r-{place % 2}")
        await topics.batch({f"s-{place}": 200 for place in range(1, 7)})
        now = datetime.now(UTC)
        for day in range(4):
            counts = {"s-1": 3, "s-2": 5, "s-3": 4, "s-4": 2, "s-5": 1 + day, "s-6": 1}
            await topics.outcomes(
                0, [redeemed(store, now - timedelta(days=day)) for store, n in counts.items() for _ in range(n)]
            )
        yield topics


@asynccontextmanager
async def signed_in(browser: Browser, reader: Reader, token: str = "t-store", **context: Any) -> AsyncIterator[Page]:
    """The page after signing in. An error on the page, or a word in its console, fails the test."""
    opened = await browser.new_context(**{"viewport": PHONE, "locale": "en-GB", **context})
    page = await opened.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    await page.goto(reader.url)
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Show my standing").click()
    await expect(page.locator("#rows tr[data-store]").first).to_be_visible()
    yield page
    await opened.close()
    assert said == []


def stores_shown(page: Page) -> Any:
    return page.locator("#rows tr[data-store]").evaluate_all("lines => lines.map(line => line.dataset.store)")


async def test_a_store_sees_its_rank_what_is_missing_and_its_neighbours(
    kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser
) -> None:
    async with ranking(kafka, await database("ranking")) as reader:
        await until_total(reader, 6)
        async with signed_in(browser, reader) as page:
            await expect(page.locator("#mine-name")).to_have_text("Main Street")
            await expect(page.locator("#mine-rank")).to_contain_text("3 of 6")
            await expect(page.locator("#mine-gap")).to_have_text("1 more to catch up with متجر الألعاب")
            assert await page.locator("#neighbours tr[data-store]").count() == 5
            await expect(page.locator("#neighbours tr.marked")).to_contain_text("Main Street")
            await expect(page.locator("#line figcaption")).to_contain_text("Rank, all time")
            await expect(page.locator("#fresh")).to_contain_text("behind")


async def test_the_board_moves_by_itself_when_a_rank_changes(
    kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser
) -> None:
    async with ranking(kafka, await database("ranking")) as reader, signed_in(browser, reader) as page:
        await expect(page.locator("#mine-rank")).to_contain_text("3 of 6")
        await topics.outcomes(1, [redeemed("s-1") for _ in range(9)])
        await expect(page.locator("#mine-rank")).to_contain_text("1 of 6")
        await expect(page.locator("#told")).to_contain_text("Now rank 1. Nobody is ahead.")
        assert (await stores_shown(page))[:3] == ["s-1", "s-2", "s-3"]
        positions = await page.locator("#rows tr[data-store]").evaluate_all(
            "lines => lines.map(l => l.getBoundingClientRect().top)"
        )
        assert positions == sorted(positions)


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_rows_slide_unless_motion_is_to_be_reduced(
    kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser, motion: Any
) -> None:
    async with ranking(kafka, await database("ranking")) as reader, signed_in(browser, reader, reduced_motion=motion) as page:
        await page.evaluate(
            "() => { window.slides = 0; const animate = Element.prototype.animate;"
            "Element.prototype.animate = function (...all) { window.slides += 1; return animate.apply(this, all); }; }"
        )
        await topics.outcomes(1, [redeemed("s-6") for _ in range(9)])
        await expect(page.locator("#rows tr[data-store]").first).to_contain_text("Last")
        assert (await page.evaluate("window.slides") > 0) == (motion == "no-preference")


async def test_windows_scopes_measures_and_search_are_in_the_address(
    kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser
) -> None:
    async with ranking(kafka, await database("ranking")) as reader, signed_in(browser, reader, viewport=DESK) as page:
        await page.locator("#window-all").check(force=True)
        await expect(page.locator("#board-name")).to_have_text("Board: All time")
        await page.locator("#scope").select_option("chain:playtime")
        await expect(page.locator("#rows tr[data-store]")).to_have_count(3)
        await page.locator("#by-rate").check(force=True)
        await expect(page.locator("#rows")).to_contain_text("%")
        assert "window=all" in page.url
        await page.reload()
        await expect(page.locator("#rows tr[data-store]")).to_have_count(3)
        await page.locator("#search").fill("παιχ")
        await expect(page.locator("#rows tr[data-store]")).to_have_count(1)
        await expect(page.locator("#rows")).to_contain_text("Ωmega")
        await expect(page.locator("#rows")).to_contain_text("%")
        await expect(page.locator("#rows caption")).to_contain_text("Stores found by “παιχ”: Board: All time, playtime, ")
        await page.locator("#search").fill("nowhere at all")
        await expect(page.locator("#rows")).to_contain_text("No store has “nowhere at all” in its name.")
        await page.locator("#search").fill("")
        await page.locator("#scope").select_option("region:r-0")
        await expect(page.locator("#rows caption")).to_contain_text("Board: All time, r-0, ")
        await expect(page.locator("#mine-gap")).to_contain_text("This store is not on this board")


async def test_a_shared_link_opens_the_same_board_after_signing_in(
    kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser
) -> None:
    async with ranking(kafka, await database("ranking")) as reader:
        page = await browser.new_page()
        await page.goto(f"{reader.url}/?window=all&scope=chain%3Aplaytime&store=s-2")
        await page.get_by_label("Token").fill("t-reports")
        await page.get_by_role("button").click()
        await expect(page.locator("#mine-name")).to_have_text("Ωmega Παιχνίδια")
        await expect(page.locator("#board-name")).to_have_text("Board: All time")
        await expect(page.locator("#rows tr[data-store]")).to_have_count(3)


async def test_a_closed_day_shows_its_seal_and_hash(
    kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser
) -> None:
    async with (
        ranking(kafka, await database("ranking"), RANKING_LATE_HOURS="0", RANKING_CERTIFY_SECONDS="0.5") as reader,
        signed_in(browser, reader) as page,
    ):
        await page.get_by_role("button", name="Earlier").click()
        await expect(page.locator("#seal")).to_contain_text("Certified. This result is final. Hash", timeout=20_000)
        _, certificate = await reader.get("/v1/campaigns/spring/certificates", window="day")
        await expect(page.locator("#seal code")).to_have_text(certificate["hash"])
        await topics.outcomes(1, [redeemed("s-6", datetime.now(UTC) - timedelta(days=1))])
        await page.locator("#seal summary").click(timeout=20_000)
        await expect(page.locator("#seal li")).to_have_text("Last: 1 certified, 2 now (+1)")
        await page.get_by_role("button", name="Later").click()
        await expect(page.locator("#seal")).to_be_hidden()


async def test_the_keyboard_reaches_everything_and_opens_another_store(
    kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser
) -> None:
    async with (
        ranking(kafka, await database("ranking")) as reader,
        signed_in(browser, reader, token="t-reports", viewport=DESK) as page,
    ):
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the board"
        await page.locator("#window-day").focus()
        await page.keyboard.press("ArrowRight")
        await expect(page.locator("#board-name")).to_have_text("Board: Week")
        await page.get_by_role("button", name="Кубики").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#mine-name")).to_have_text("Кубики")
        assert "store=s-4" in page.url


async def test_axe_has_nothing_to_say(kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser) -> None:
    async with ranking(kafka, await database("ranking"), RANKING_LATE_HOURS="0", RANKING_CERTIFY_SECONDS="0.5") as reader:
        for size in (PHONE, DESK):
            context = await browser.new_context(viewport=size, bypass_csp=True)
            page = await context.new_page()
            await page.goto(reader.url)
            await page.get_by_label("Token").fill("nobody's")
            await page.get_by_role("button").click()
            await axe_is_silent(page)
            await page.get_by_label("Token").fill("t-store")
            await page.get_by_role("button").click()
            await expect(page.locator("#rows tr[data-store]").first).to_be_visible()
            await expect(page.locator("#line")).to_be_visible()
            await axe_is_silent(page)
            await page.get_by_role("button", name="Earlier").click()
            await expect(page.locator("#seal")).to_be_visible(timeout=20_000)
            await axe_is_silent(page)
            await context.close()


async def axe_is_silent(page: Page) -> None:
    """In light and in dark."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        assert await axe_findings(page) == []


async def test_nothing_sticks_out_of_the_page(
    kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser
) -> None:
    async with ranking(kafka, await database("ranking")) as reader, signed_in(browser, reader) as page:
        await expect(page.locator("#mine-rank")).to_contain_text("of 6")
        for width in (320, 390, 768, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_page_without_a_connection_keeps_its_figures_and_says_so(
    kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser
) -> None:
    opened = await browser.new_context(viewport=PHONE)
    page = await opened.new_page()
    async with ranking(kafka, await database("ranking")) as reader:
        await page.goto(reader.url)
        await page.get_by_label("Token").fill("t-store")
        await page.get_by_role("button").click()
        await expect(page.locator("#mine-rank")).to_contain_text("3 of 6")
    await expect(page.locator("#trouble")).to_contain_text("The connection is interrupted")
    await expect(page.locator("#mine-rank")).to_contain_text("3 of 6")
    await expect(page.locator("#fresh")).to_contain_text("interrupted")
    await opened.close()


async def test_a_portal_of_another_origin_embeds_a_live_board(
    kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser
) -> None:
    async with (
        portal_elsewhere() as (origin, site),
        ranking(kafka, await database("ranking"), RANKING_CORS_ORIGINS=origin) as reader,
    ):
        await until_total(reader, 6)
        site["page"] = portal_page(reader, 'window="day" limit="3" store="s-2"')
        page = await browser.new_page()
        await page.goto(origin)
        lines = page.locator("counterfoil-board tr[data-store]")
        await expect(lines).to_have_count(3)
        await expect(lines.first).to_have_class("marked")
        await topics.outcomes(1, [redeemed("s-3") for _ in range(9)])
        await expect(lines.first).to_contain_text("متجر")
        assert await axe_findings(page) == []


async def test_a_portal_that_is_not_named_cannot_read(
    kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser
) -> None:
    async with portal_elsewhere() as (origin, site), ranking(kafka, await database("ranking")) as reader:
        site["page"] = portal_page(reader, "")
        page = await browser.new_page()
        await page.goto(origin)
        await expect(page.locator("counterfoil-board .fresh")).to_contain_text("no connection")
        assert await page.locator("counterfoil-board tr[data-store]").count() == 0


def portal_page(reader: Reader, attributes: str) -> str:
    return (
        '<!doctype html><html lang="en"><title>Portal</title>'
        f'<script src="{reader.url}/assets/board.js"></script><main><h1>Our stores</h1>'
        f'<counterfoil-board campaign="spring" token="t-store" {attributes}></counterfoil-board></main>'
    )


@asynccontextmanager
async def portal_elsewhere() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """A plain web server with one page; its origin, and the page to be filled in."""
    site = {"page": ""}

    async def show(_request: web.Request) -> web.Response:
        return web.Response(text=site["page"], content_type="text/html")

    app = web.Application()
    app.router.add_get("/", show)
    runner = web.AppRunner(app)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    try:
        yield server.name, site
    finally:
        await runner.cleanup()
