"""The web component on a portal's page of another origin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from playwright.async_api import Browser, expect

from shared.environment import KafkaConnection
from tests.integration.ranking.system import Database, Reader, Topics, ranking, redeemed, until_total
from tests.support.axe import axe_findings


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


async def test_a_board_that_cannot_be_shown_says_why_and_nothing_of_freshness(
    kafka: KafkaConnection, database: Database, topics: Topics, browser: Browser
) -> None:
    async with (
        portal_elsewhere() as (origin, site),
        ranking(kafka, await database("ranking"), RANKING_CORS_ORIGINS=origin) as reader,
    ):
        site["page"] = portal_page(reader, 'scope="region:Nowhere"')
        page = await browser.new_page()
        await page.goto(origin)
        await expect(page.locator("counterfoil-board [role=alert]")).to_have_text("no store belongs to region:Nowhere")
        await expect(page.locator("counterfoil-board .fresh")).to_be_empty()


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
