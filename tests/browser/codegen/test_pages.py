"""The admin's pages in a real Chromium: a whole journey, and what holds for every page."""

from itertools import product
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import Page, expect

from tests.browser.codegen.conftest import OpenBrowser
from tests.integration.codegen.conftest import Codegen
from tests.support.axe import axe_findings

PAGES = ["/", "/campaigns/new", "/campaigns/spring", "/codes", "/voids", "/stores", "/tokens", "/audit", "/dead-letters"]
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


async def test_a_token_is_asked_for_once(admin: OpenBrowser) -> None:
    opened = await admin(signed_in=False)
    page = await opened.open("/stores")
    await page.get_by_label("Your access token").fill("cf_wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("not a valid token")).to_be_visible()
    await page.get_by_label("Your access token").fill(opened.codegen.token)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="New campaign")).to_be_visible()
    (cookie,) = await page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Your access token")).to_be_visible()


async def test_an_admin_makes_a_campaign_stores_and_codes_and_watches(admin: OpenBrowser, tmp_path: Path) -> None:
    opened = await admin()
    page = opened.page
    await _make_campaign(page)
    await _upload_stores(page, tmp_path)
    await page.get_by_role("link", name="Spring 2026").click()
    await page.get_by_label("Codes a store").fill("400000")
    await page.get_by_role("button", name="Plan").click()
    plan = page.locator("#plan")
    await expect(plan.get_by_text("1,200,000", exact=True)).to_be_visible()
    await expect(plan.get_by_text("one guess in")).to_be_visible()
    await plan.get_by_role("button", name="Start").click()
    batch = page.locator(".batch")
    await expect(batch.locator(".state")).to_have_text("ready", timeout=60_000)
    await page.evaluate("window.notReloaded = true")
    await batch.get_by_role("button", name="Publish").click()
    await expect(batch.locator(".state")).to_have_text("published")
    assert await page.evaluate("window.notReloaded"), "nothing was loaded again"
    await _download_of_a_store(page, tmp_path)
    assert opened.complaints == []


async def test_the_row_of_a_batch_moves_without_reloading(admin: OpenBrowser, codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(2)
    await codegen.order({"campaign_id": "spring", "count_per_store": 700_000, "stores": "all"})
    opened = await admin()
    page = await opened.open("/campaigns/spring")
    await page.evaluate("window.notReloaded = true")
    row = page.locator(".batch")
    loaded = row.locator("[data-figure=loaded]")
    await expect(loaded).not_to_have_text("0", timeout=30_000)
    await expect(row.locator(".state")).to_have_text("ready", timeout=60_000)
    await expect(row.locator("[data-figure=verified]")).to_have_text("1,400,000")
    assert await page.evaluate("window.notReloaded")
    assert opened.complaints == []


async def test_a_code_is_looked_up_and_made_void_after_a_preview(admin: OpenBrowser, codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(1)
    batch = await codegen.made({"campaign_id": "spring", "count_per_store": 20, "stores": "all"})
    (text, serial, _), *_ = await codegen.codes(batch["id"])
    opened = await admin()
    page = await opened.open("/codes")
    await page.get_by_label("Code or serial number").fill(text.lower())
    await page.keyboard.press("Enter")
    await expect(page.locator(".story .state")).to_have_text("issued")
    await opened.open("/voids")
    await page.get_by_label("Or single codes").fill(f" {text.replace('-', ' ')} \n\n")
    await page.get_by_label("Why?").fill("Misprint")
    await page.get_by_role("button", name="Preview").click()
    await page.get_by_role("button", name="Make 1 code void").click()
    await expect(page.get_by_role("cell", name="Misprint")).to_be_visible()
    await opened.open("/codes")
    await page.get_by_label("Code or serial number").fill(str(serial))
    await page.get_by_role("button", name="Look up").click()
    await expect(page.locator(".story .state")).to_have_text("void")
    await page.get_by_label("Code or serial number").fill("nonsense")
    await page.get_by_role("button", name="Look up").click()
    await expect(page.get_by_role("alert").filter(has_text="is not a code")).to_be_visible()
    assert opened.complaints == []


async def test_a_token_is_made_shown_once_and_revoked(admin: OpenBrowser, codegen: Codegen) -> None:
    opened = await admin()
    page = await opened.open("/tokens")
    await page.get_by_label("For whom or what").fill("Zork")
    await page.get_by_label("Scopes").fill("admin")
    await page.get_by_role("button", name="Make a token").click()
    secret = await page.locator("[data-secret]").inner_text()
    assert (await codegen.call("GET", "/v1/campaigns", token=secret)).status == 200
    page.on("dialog", lambda dialog: dialog.accept())
    await opened.open("/tokens")
    await page.get_by_role("button", name="Revoke Zork").click()
    await expect(page.get_by_role("cell", name="revoked")).to_be_visible()
    assert (await codegen.call("GET", "/v1/campaigns", token=secret)).status == 401


async def test_a_store_is_found_and_the_audit_log_tells_who_added_it(admin: OpenBrowser, codegen: Codegen) -> None:
    await codegen.make_stores(230)
    opened = await admin()
    page = await opened.open("/stores")
    await page.get_by_role("link", name="More stores").click()
    await expect(page.get_by_role("cell", name="s-00230", exact=True)).to_be_visible()
    await page.get_by_label("Find a store by id or name").fill("STORE S-00017")
    await page.get_by_role("button", name="Find").click()
    await expect(page.get_by_role("row")).to_have_count(2)
    await page.get_by_role("button", name="Pause Store s-00017").click()
    await expect(page.get_by_role("cell", name="paused")).to_be_visible()
    await page.get_by_label("Find a store by id or name").fill("nowhere")
    await page.get_by_role("button", name="Find").click()
    await expect(page.get_by_text("No store's id or name holds “nowhere”")).to_be_visible()
    await opened.open("/audit")
    row = page.get_by_role("row").filter(has_text="230 stores")
    await expect(row.get_by_role("cell", name="first admin")).to_be_visible()
    await expect(row.get_by_role("cell", name="created 230, updated 0")).to_be_visible()
    assert opened.complaints == []


async def test_a_change_without_the_pages_guard_is_refused(admin: OpenBrowser, codegen: Codegen) -> None:
    await codegen.make_campaign()
    opened = await admin()
    body = "new URLSearchParams({paused: 'true'})"
    script = f"async () => (await fetch('/pages/campaigns/spring', {{method: 'POST', body: {body}}})).status"
    assert await opened.page.evaluate(script) == 403
    assert (await codegen.call("GET", "/v1/campaigns/spring")).json["paused"] is False


async def test_the_pages_policy_lets_nothing_in_from_elsewhere(admin: OpenBrowser, codegen: Codegen) -> None:
    async with codegen.session.get(codegen.service.url + "/") as response:
        policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_every_page_is_readable_by_everyone(admin: OpenBrowser, codegen: Codegen) -> None:
    await codegen.make_campaign()
    await codegen.make_stores(3)
    await codegen.made({"campaign_id": "spring", "count_per_store": 20, "stores": "all"})
    await codegen.order({"campaign_id": "spring", "count_per_store": 5, "stores": "all"}, "key-2")
    opened = await admin()
    for path in PAGES:
        page = await opened.open(path)
        if path == "/campaigns/spring":
            await page.get_by_role("button", name="By store").first.click()
            await expect(page.get_by_role("cell", name="s-00001", exact=True)).to_be_visible()
        for width, scheme in product((390, 1280), SCHEMES):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert await axe_findings(page) == [], f"{path} at {width}, {scheme}"
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
    assert opened.complaints == []


async def test_the_keyboard_reaches_the_content_first(admin: OpenBrowser, codegen: Codegen) -> None:
    opened = await admin()
    page = await opened.open("/stores")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


async def _make_campaign(page: Page) -> None:
    await page.get_by_role("link", name="New campaign").click()
    await page.get_by_label("Name").fill("Spring 2026")
    await page.get_by_label("Id", exact=False).first.fill("spring")
    await page.get_by_label("First day").fill("2026-11-01")
    await page.get_by_label("Last day").fill("2026-10-01")
    await page.get_by_role("button", name="Make the campaign").click()
    await expect(page.get_by_role("alert").filter(has_text="must be after starts_at")).to_be_visible()
    await page.get_by_label("Last day").fill("2036-10-01")
    await page.get_by_role("button", name="Make the campaign").click()
    await expect(page.get_by_text("There are no stores yet.")).to_be_visible()


async def _upload_stores(page: Page, folder: Path) -> None:
    await page.get_by_role("link", name="Add stores first").click()
    bad, good = folder / "bad.csv", folder / "good.csv"
    bad.write_text("id,name\ns-1,Main Street\ns-1,Again\n,Nameless\n")
    good.write_text("id,name,region\ns-1,Main Street,US-CA\ns-2,Ωmega,US-NY\ns-3,متجر,\n")
    await page.locator("input[type=file]").set_input_files(bad)
    await page.get_by_role("button", name="Check and store").click()
    problems = page.locator("#result .problem")
    await expect(problems.get_by_text("row 2: is the same as in row 1")).to_be_visible()
    await expect(problems.get_by_text("row 3:")).to_be_visible()
    await page.locator("input[type=file]").set_input_files(good)
    await page.get_by_role("button", name="Check and store").click()
    await expect(page.get_by_text("3 stores were added")).to_be_visible()


async def _download_of_a_store(page: Page, folder: Path) -> None:
    await page.get_by_role("button", name="By store").click()
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Codes of s-2").click()
    path = folder / "codes.csv"
    await (await download.value).save_as(path)
    lines = path.read_text().splitlines()
    assert len(lines) == 400_002
    assert lines[2].endswith(",s-2")
