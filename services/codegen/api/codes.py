"""Looking up a code, by its text or its serial."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from services.codegen.api.answers import ADMIN, refusing
from services.codegen.domain.codes import CodeView
from services.codegen.handlers.codes import CodeHandlers
from shared.web.routes import Call, Fields, Route


class SerialQuery(Fields):
    serial: Annotated[int, Field(ge=1, le=2**62, description="The code's serial number")]


class CodeRoutes:
    def __init__(self, codes: CodeHandlers) -> None:
        self._codes = codes

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/codes",
                handler=refusing(self.by_serial),
                summary="The story of the code with a serial number",
                scopes=ADMIN,
                query=SerialQuery,
                answer=CodeView,
            ),
            Route(
                method="GET",
                path="/v1/codes/{code}",
                handler=refusing(self.by_text),
                summary="The story of a code: batch, store, campaign, state, redemptions, void",
                scopes=ADMIN,
                answer=CodeView,
                problems=(422,),
            ),
        ]

    async def by_serial(self, call: Call[SerialQuery, Any]) -> CodeView:
        return await self._codes.by_serial(call.query.serial, now=datetime.now(UTC))

    async def by_text(self, call: Call[Any, Any]) -> CodeView:
        return await self._codes.by_text(call.path["code"], now=datetime.now(UTC))
