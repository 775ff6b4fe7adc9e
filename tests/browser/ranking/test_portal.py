"""The page for stores in a real Chromium: what a store sees of its standing, the boards and certified results."""

from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import Browser, Page, expect

from shared.environment import KafkaConnection
from tests.browser.ranking.conftest import DESK, PHONE, signed_in
from tests.integration.ranking.system import Database, Topics, ranking, redeemed, until_total


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
        await page.evaluate("() => Promise.all(document.getAnimations().map(animation => animation.finished))")
        positions = await page.locator("#rows tr[data-store]").evaluate_all(
            "lines => lines.map(l => l.getBoundingClientRect().top)"
        )
        assert positions == sorted(positions)


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
        await expect(page.locator("#seal")).to_contain_text("Certified. This result is final.", timeout=20_000)
        _, certificate = await reader.get("/v1/campaigns/spring/certificates", window="day")
        await expect(page.locator("#seal code")).to_have_text(certificate["hash"])
        await expect(page.locator("#mine-gap")).to_have_text("1 short of متجر الألعاب")
        await topics.outcomes(1, [redeemed("s-6", datetime.now(UTC) - timedelta(days=1))])
        await page.locator("#seal summary").click(timeout=20_000)
        await expect(page.locator("#seal li")).to_have_text("Last: 1 certified, 2 now (+1)")
        await page.get_by_role("button", name="Later").click()
        await expect(page.locator("#seal")).to_be_hidden()


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
