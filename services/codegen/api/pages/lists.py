"""The pages of stores, tokens, the audit log and dead letters."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from services.codegen.api.answers import PageQuery, after, before_number, page_of
from services.codegen.api.pages.shell import PageCall, Shell, by, form_of, page_route, part_route
from services.codegen.domain.audit import AuditEntry
from services.codegen.domain.refusals import wrong
from services.codegen.domain.stores import Unreadable, checked_stores, stores_from_csv
from services.codegen.handlers.audit import AuditHandlers
from services.codegen.handlers.overview import OverviewHandlers
from services.codegen.handlers.stores import StoreHandlers
from services.codegen.handlers.tokens import TokenHandlers
from shared.web.pages import read_form
from shared.web.routes import Route

ROWS_SHOWN: Final = 200


class StoreSearch(PageQuery):
    """The stores whose id or name holds `find`."""

    find: Annotated[str, Field(max_length=200)] = ""


class ListPages:
    def __init__(
        self, shell: Shell, stores: StoreHandlers, tokens: TokenHandlers, audit: AuditHandlers, overview: OverviewHandlers
    ) -> None:
        self._shell = shell
        self._stores = stores
        self._tokens = tokens
        self._audit = audit
        self._overview = overview

    def routes(self) -> list[Route]:
        page, refusing = self._shell.page, self._shell.refusing
        return [
            page_route("GET", "/stores", page(self.stores), query=StoreSearch),
            page_route("GET", "/tokens", page(self.tokens), query=PageQuery),
            page_route("GET", "/audit", page(self.audit), query=PageQuery),
            page_route("GET", "/dead-letters", page(self.dead_letters)),
            part_route("PUT", "/pages/stores", refusing(self.put_stores)),
            part_route("POST", "/pages/stores/{store_id}/{action:pause|unpause}", refusing(self.pause_store)),
            part_route("POST", "/pages/tokens", refusing(self.make_token)),
            part_route("POST", "/pages/tokens/{token_id}/revoke", refusing(self.revoke_token)),
        ]

    async def stores(self, call: PageCall) -> web.Response:
        query: StoreSearch = call.query
        found = await self._stores.find(query.find.strip(), after(query), ROWS_SHOWN + 1)
        stores, cursor = page_of(found, ROWS_SHOWN, lambda store: store.id)
        return await self._shell.render(
            call,
            "stores.html",
            title="Stores",
            current="/stores",
            stores=stores,
            store_count=await self._stores.count(),
            find=query.find.strip(),
            is_first=query.cursor is None,
            next_cursor=cursor,
        )

    async def tokens(self, call: PageCall) -> web.Response:
        found = await self._tokens.page(after(call.query), ROWS_SHOWN + 1)
        tokens, cursor = page_of(found, ROWS_SHOWN, lambda token: token.id)
        return await self._shell.render(
            call,
            "tokens.html",
            title="Tokens",
            current="/tokens",
            tokens=tokens,
            is_first=call.query.cursor is None,
            next_cursor=cursor,
        )

    async def audit(self, call: PageCall) -> web.Response:
        found = await self._audit.page(before_number(call.query), ROWS_SHOWN + 1, None, None)
        entries, cursor = page_of(found, ROWS_SHOWN, lambda entry: str(entry.id))
        return await self._shell.render(
            call,
            "audit.html",
            title="Audit log",
            current="/audit",
            entries=entries,
            names=await self._tokens.names({entry.actor for entry in entries}),
            details=_details,
            next_cursor=cursor,
            chain_words=await self._audit.chain_words(),
        )

    async def dead_letters(self, call: PageCall) -> web.Response:
        total, letters = await self._overview.dead_letters()
        return await self._shell.render(
            call, "dead_letters.html", title="Dead letters", current="/dead-letters", letters=letters, total=total
        )

    async def put_stores(self, call: PageCall) -> web.Response:
        form = await read_form(call.request)
        file = form.get("file")
        if not isinstance(file, web.FileField):
            raise Unreadable("Choose a CSV file first")
        done = await self._stores.put(checked_stores(stores_from_csv(file.file.read())), **by(call))
        text = f"{done.created:,} stores were added, {done.updated:,} changed, {done.unchanged:,} were there already."
        return self._shell.done(call.request, text)

    async def pause_store(self, call: PageCall) -> web.Response:
        store = await self._stores.pause(call.path["store_id"], call.path["action"] == "pause", **by(call))
        return self._shell.part(call.request, "store.html", s=store)

    async def make_token(self, call: PageCall) -> web.Response:
        form = await form_of(call)
        expires_at = _end_of(form.get("expires_on"))
        made = await self._tokens.create(form.get("name", ""), form.get("scopes", "").split(), expires_at, **by(call))
        return self._shell.done(call.request, f"The token “{made.name}”:", secret=made.token)

    async def revoke_token(self, call: PageCall) -> web.Response:
        await self._tokens.revoke(call.path["token_id"], **by(call))
        return self._shell.done(call.request, "It stopped working.", HX_Refresh="true")


def _details(entry: AuditEntry) -> str:
    """The single values of an entry's details; lists are counted in them already."""
    values = {name: value for name, value in entry.details.items() if isinstance(value, str | int | float)}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())


def _end_of(day: str | None) -> datetime | None:
    """The end of a day in UTC."""
    if day is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(), UTC)
    except (ValueError, OverflowError):
        raise wrong("expires_on", "must be a date") from None
