"""The pages of campaigns and the parts of their batches."""

import secrets
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import available_timezones

from aiohttp import web

from services.codegen.api.batches import BatchBody
from services.codegen.api.campaigns import CampaignBody, CampaignChanges
from services.codegen.api.pages.shell import PageCall, Shell, by, form_of, page_route, part_route
from services.codegen.api.pages.words import window_share, window_words
from services.codegen.domain.batches import view_of
from services.codegen.domain.campaigns import CampaignDraft
from services.codegen.domain.refusals import wrong
from services.codegen.handlers.batches import BatchHandlers
from services.codegen.handlers.campaigns import CampaignHandlers
from services.codegen.handlers.overview import OverviewHandlers
from services.codegen.handlers.stores import StoreHandlers
from services.codegen.store.campaigns import CampaignFigures
from shared.contracts.codegen import CampaignLimits
from shared.web.routes import Route

BATCHES_SHOWN: Final = 100
STORES_SHOWN: Final = 200
LIMITS: Final = ("per_player", "per_store", "total")


class CampaignPages:
    def __init__(
        self,
        shell: Shell,
        campaigns: CampaignHandlers,
        batches: BatchHandlers,
        stores: StoreHandlers,
        overview: OverviewHandlers,
    ) -> None:
        self._shell = shell
        self._campaigns = campaigns
        self._batches = batches
        self._stores = stores
        self._overview = overview

    def routes(self) -> list[Route]:
        one = "/pages/batches/{batch_id}"
        refusing = self._shell.refusing
        return [
            page_route("GET", "/", self._shell.page(self.home)),
            page_route("GET", "/campaigns/new", self._shell.page(self.new)),
            page_route("GET", "/campaigns/{campaign_id}", self._shell.page(self.campaign)),
            part_route("POST", "/pages/campaigns", refusing(self.create)),
            part_route("POST", "/pages/campaigns/{campaign_id}", refusing(self.change)),
            part_route("POST", "/pages/batches/plan", refusing(self.plan)),
            part_route("POST", "/pages/batches", refusing(self.order)),
            part_route("GET", one, refusing(self.batch)),
            part_route("GET", f"{one}/stores", refusing(self.batch_stores)),
            part_route("POST", f"{one}/{{action}}", refusing(self.act)),
        ]

    async def home(self, call: PageCall) -> web.Response:
        """The campaign that matters most now; the form for the first one when there is none."""
        rows = await self._overview.campaigns(now=datetime.now(UTC))
        if not rows:
            return await self.new(call)
        return await self._show(call, rows[0].campaign.id)

    async def new(self, call: PageCall) -> web.Response:
        zones = sorted(available_timezones())
        return await self._shell.render(call, "new_campaign.html", title="New campaign", current="new", zones=zones)

    async def campaign(self, call: PageCall) -> web.Response:
        return await self._show(call, call.path["campaign_id"])

    async def create(self, call: PageCall) -> web.Response:
        form = await form_of(call)
        body = CampaignBody.model_validate(
            {
                **{name: form.get(name, "") for name in ("id", "name", "starts_at", "ends_at", "time_zone")},
                "games": _words(form.get("games")),
                "regions": _words(form.get("regions")),
                "limits": {name: _number(name, form.get(name)) for name in LIMITS},
            }
        )
        values = body.model_dump()
        draft = CampaignDraft(
            **{
                **values,
                "games": tuple(body.games),
                "regions": tuple(body.regions),
                "limits": CampaignLimits(**values["limits"]),
            }
        )
        campaign, _ = await self._campaigns.create(draft, **by(call))
        return self._shell.done(call.request, "Made.", HX_Redirect=f"/campaigns/{quote(campaign.id)}")

    async def change(self, call: PageCall) -> web.Response:
        form: dict[str, Any] = dict(await form_of(call))
        for flag in {"paused", "archived"} & set(form):
            form[flag] = form[flag] == "true"
        body = CampaignChanges.model_validate(form)
        changes = {name: getattr(body, name) for name in body.model_fields_set}
        await self._campaigns.change(call.path["campaign_id"], changes, **by(call))
        return self._shell.done(call.request, "Saved.", HX_Refresh="true")

    async def plan(self, call: PageCall) -> web.Response:
        body = _order(await form_of(call))
        plan = await self._batches.plan(body.order(), now=datetime.now(UTC))
        return self._shell.part(call.request, "plan.html", plan=plan, key=f"page-{secrets.token_hex(12)}")

    async def order(self, call: PageCall) -> web.Response:
        form = await form_of(call)
        body = _order(form)
        key = form.get("idempotency_key") or secrets.token_hex(12)
        request = body.model_dump_json().encode()
        await self._batches.create(body.order(), idempotency_key=key, request=request, **by(call))
        return self._shell.done(call.request, "Ordered.", HX_Redirect=f"/campaigns/{quote(body.campaign_id)}")

    async def batch(self, call: PageCall) -> web.Response:
        return self._part(call, view_of(await self._batches.find(call.path["batch_id"])))

    async def batch_stores(self, call: PageCall) -> web.Response:
        batch = await self._batches.find(call.path["batch_id"])
        allotments = await self._batches.allotments(batch)
        shown, more = allotments[:STORES_SHOWN], len(allotments) > STORES_SHOWN
        return self._shell.part(call.request, "batch_stores.html", batch=batch, allotments=shown, more=more)

    async def act(self, call: PageCall) -> web.Response:
        batch_id = call.path["batch_id"]
        match call.path["action"]:
            case "publish":
                batch = await self._batches.publish(batch_id, **by(call))
            case "resume":
                batch = await self._batches.resume(batch_id, **by(call))
            case "cancel":
                batch = await self._batches.cancel(batch_id, **by(call))
            case "pause" | "unpause" as action:
                batch = await self._batches.pause(batch_id, action == "pause", **by(call))
            case _:
                raise web.HTTPNotFound
        return self._part(call, view_of(batch))

    def _part(self, call: PageCall, batch: Any) -> web.Response:
        return self._shell.part(call.request, "batch.html", batch=batch)

    async def _show(self, call: PageCall, campaign_id: str) -> web.Response:
        now = datetime.now(UTC)
        campaign = await self._campaigns.find(campaign_id, now=now)
        rows = await self._overview.campaigns(now=now)
        shown = next((row.figures for row in rows if row.campaign.id == campaign_id), CampaignFigures())
        batches = await self._batches.page(2**31 - 1, BATCHES_SHOWN, campaign_id)
        return await self._shell.render(
            call,
            "campaign.html",
            title=campaign.name,
            current=campaign_id,
            campaign=campaign,
            shown=shown,
            batches=[view_of(batch) for batch in batches],
            store_count=await self._stores.count(),
            window_words=window_words(campaign, now),
            window_share=window_share(campaign, now),
        )


def _order(form: dict[str, str]) -> BatchBody:
    """The batch that the form's steps describe. Raises Wrong, ValidationError."""
    order: dict[str, Any] = {"campaign_id": form.get("campaign_id", ""), "publish": form.get("publish") == "true"}
    each = _number("count_per_store", form.get("count_per_store"))
    if form.get("which") != "some":
        if each is None:
            raise wrong("count_per_store", "say how many codes each store gets")
        return BatchBody.model_validate({**order, "count_per_store": each, "stores": "all"})
    allotments = []
    for line in form.get("stores", "").splitlines():
        store_id, _, own = (part.strip() for part in line.partition(","))
        count = _number(f"stores.{store_id}", own) if own else each
        if store_id and count is None:
            raise wrong("count_per_store", f"say how many codes {store_id} gets")
        if store_id:
            allotments.append({"store_id": store_id, "count": count})
    if not allotments:
        raise wrong("stores", "name at least one store")
    return BatchBody.model_validate({**order, "allotments": allotments})


def _number(field: str, text: str | None) -> int | None:
    if not text:
        return None
    digits = text.replace(",", "").replace(" ", "")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise wrong(field, "must be a whole number")
    return int(digits)


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]
