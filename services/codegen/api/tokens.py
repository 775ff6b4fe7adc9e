"""Tokens: create, list, revoke."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from aiohttp import web
from pydantic import Field

from services.codegen.api.answers import ADMIN, PageQuery, after, page_of, refusing
from services.codegen.domain.tokens import NewTokenView, TokenView
from services.codegen.handlers.tokens import TokenHandlers
from shared.web.routes import Call, Fields, MomentField, Route


class TokenBody(Fields):
    """A token to be made; without `expires_at` it is valid until it is revoked."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    scopes: Annotated[list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=100)]
    expires_at: MomentField | None = None


class TokenPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[TokenView]
    next_cursor: str | None


class TokenRoutes:
    def __init__(self, tokens: TokenHandlers) -> None:
        self._tokens = tokens

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/tokens",
                handler=refusing(self.create),
                summary="Makes a token; its text is shown this once",
                scopes=ADMIN,
                body=TokenBody,
                answer=NewTokenView,
                status=201,
            ),
            Route(
                method="GET",
                path="/v1/tokens",
                handler=refusing(self.page),
                summary="Lists tokens, without their texts",
                scopes=ADMIN,
                query=PageQuery,
                answer=TokenPage,
            ),
            Route(
                method="DELETE",
                path="/v1/tokens/{token_id}",
                handler=refusing(self.revoke),
                summary="Ends a token; answers once the other services can know",
                scopes=ADMIN,
                status=204,
            ),
        ]

    async def create(self, call: Call[Any, TokenBody]) -> NewTokenView:
        body = call.body
        expires_at = body.expires_at.astimezone(UTC) if body.expires_at else None
        return await self._tokens.create(body.name, body.scopes, expires_at, actor=call.caller.token_id, now=datetime.now(UTC))

    async def page(self, call: Call[PageQuery, Any]) -> TokenPage:
        limit = call.query.limit
        found = await self._tokens.page(after(call.query), limit + 1)
        items, cursor = page_of(found, limit, lambda token: token.id)
        return TokenPage(items=list(items), next_cursor=cursor)

    async def revoke(self, call: Call[Any, Any]) -> web.Response:
        await self._tokens.revoke(call.path["token_id"], actor=call.caller.token_id, now=datetime.now(UTC))
        return web.Response(status=HTTPStatus.NO_CONTENT)
