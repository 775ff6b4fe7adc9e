"""A ranking with stores and some days of redemptions, and a real Chromium with a store signed in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from tests.integration.ranking.system import Reader, Topics, redeemed
from tests.support.debian import CHROMIUM, find_program

PHONE: ViewportSize = {"width": 390, "height": 844}
DESK: ViewportSize = {"width": 1280, "height": 900}


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
