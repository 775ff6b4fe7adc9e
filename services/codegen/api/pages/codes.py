"""The pages of single codes and of voids."""

from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from services.codegen.api.pages.shell import PageCall, Shell, by, form_of, page_route, part_route
from services.codegen.api.voids import VoidBody, VoidOrder, VoidRoutes
from services.codegen.domain.refusals import wrong
from services.codegen.handlers.codes import CodeHandlers
from services.codegen.handlers.voids import VoidHandlers
from shared.web.routes import Route

VOIDS_SHOWN: Final = 50
NUMBERS: Final = ("first_serial", "last_serial", "confirm_outstanding")


class CodePages:
    def __init__(self, shell: Shell, codes: CodeHandlers, voids: VoidHandlers) -> None:
        self._shell = shell
        self._codes = codes
        self._voids = voids
        self._void_routes = VoidRoutes(voids, codes)

    def routes(self) -> list[Route]:
        refusing = self._shell.refusing
        return [
            page_route("GET", "/codes", self._shell.page(self.codes)),
            page_route("GET", "/voids", self._shell.page(self.voids)),
            part_route("POST", "/pages/codes", refusing(self.story)),
            part_route("POST", "/pages/voids/preview", refusing(self.preview)),
            part_route("POST", "/pages/voids", refusing(self.create)),
        ]

    async def codes(self, call: PageCall) -> web.Response:
        return await self._shell.render(call, "codes.html", title="Look up a code", current="/codes")

    async def voids(self, call: PageCall) -> web.Response:
        latest = await self._voids.latest(VOIDS_SHOWN)
        return await self._shell.render(call, "voids.html", title="Voids", current="/voids", voids=latest)

    async def story(self, call: PageCall) -> web.Response:
        """The code by its text; digits that are no code are its serial."""
        text, now = (await form_of(call)).get("code", ""), datetime.now(UTC)
        if text.isascii() and text.isdigit() and len(text) != 9:
            code = await self._codes.by_serial(min(int(text), 2**62), now=now)
        else:
            code = await self._codes.by_text(text, now=now)
        return self._shell.part(call.request, "code.html", code=code)

    async def preview(self, call: PageCall) -> web.Response:
        body = VoidBody.model_validate(_target(await form_of(call), without="confirm_outstanding"))
        preview = await self._voids.preview(await self._void_routes.target(body))
        return self._shell.part(call.request, "void_preview.html", preview=preview)

    async def create(self, call: PageCall) -> web.Response:
        void = await self._void_routes.order(VoidOrder.model_validate(_target(await form_of(call))), by(call))
        return self._shell.done(call.request, f"{void.outstanding:,} codes were made void.", HX_Refresh="true")


def _target(form: dict[str, str], *, without: str = "") -> dict[str, Any]:
    """The fields of a void's body; `without` is one that an earlier preview left in the form.

    Codes are one a line: blanks within a line are within a code.
    """
    form = {name: value for name, value in form.items() if name != without}
    body: dict[str, Any] = dict(form)
    for name in set(NUMBERS) & set(form):
        if not form[name].isascii() or not form[name].isdigit():
            raise wrong(name, "must be a whole number")
        body[name] = int(form[name])
    if "codes" in form:
        body["codes"] = [line.strip() for line in form["codes"].splitlines() if line.strip()]
    return body
