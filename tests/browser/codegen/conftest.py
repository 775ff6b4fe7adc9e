"""A codegen with an admin's browser on it: a real Chromium that tells what its console says and what it asked for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.integration.codegen.conftest import Codegen, codegen, codegen_url, start
from tests.support.debian import CHROMIUM, find_program

__all__ = ["codegen", "codegen_url", "start"]


@dataclass(slots=True, kw_only=True)
class Admin:
    """A signed-in admin. `complaints`: errors of the console, and requests to anywhere but the service."""

    page: Page
    codegen: Codegen
    complaints: list[str] = field(default_factory=list)

    async def open(self, path: str) -> Page:
        await self.page.goto(self.codegen.service.url + path)
        return self.page


expect.set_options(timeout=30_000)

OpenBrowser = Callable[..., Awaitable[Admin]]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    program = find_program(CHROMIUM)
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(
            executable_path=str(program.path), args=["--no-sandbox"], env={**program.environment}
        )
        yield opened
        await opened.close()


@pytest.fixture
async def admin(browser: Browser, codegen: Codegen) -> OpenBrowser:
    """`await admin(width=390, scheme="dark")`: signed in, on the first page."""

    async def begin(*, width: int = 1280, height: int = 900, scheme: Any = "light", signed_in: bool = True) -> Admin:
        context = await browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True, locale="en-GB"
        )
        context.set_default_timeout(60_000)
        page = await context.new_page()
        opened = Admin(page=page, codegen=codegen)
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.on("console", lambda message: _note(opened, message))
        page.on("request", lambda request: _check(opened, request.url))
        if signed_in:
            await opened.open("/")
            await page.get_by_label("Your access token").fill(codegen.token)
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url(codegen.service.url + "/")
            opened.complaints.clear()
        return opened

    return begin


def _note(opened: Admin, message: Any) -> None:
    if message.type == "error" and "status of 4" not in message.text:
        opened.complaints.append(message.text)


def _check(opened: Admin, url: str) -> None:
    if not url.startswith((opened.codegen.service.url, "data:")):
        opened.complaints.append(f"asked for {url}")
