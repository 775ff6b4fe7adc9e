"""The page for stores for everybody: by keyboard, by screen reader, without motion, in light and dark, at any width."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from shared.environment import KafkaConnection
from tests.browser.ranking.conftest import DESK, PHONE, signed_in
from tests.integration.ranking.system import Database, Topics, ranking, redeemed
from tests.support.axe import axe_findings


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
