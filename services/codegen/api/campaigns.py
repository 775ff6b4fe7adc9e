"""Campaigns: create, list, read, change."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from pydantic import Field, field_validator

from services.codegen.api.answers import ADMIN, PageQuery, after, page_of, refusing
from services.codegen.domain.campaigns import CampaignDraft
from services.codegen.handlers.campaigns import CampaignHandlers
from shared.contracts.codegen import Campaign, CampaignLimits
from shared.web.routes import Answer, Call, Fields, Route

Limit = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)] | None
When = Annotated[str, Field(max_length=64, description="RFC 3339, or a date: that whole day in the campaign's zone")]
Names = Annotated[list[str], Field(max_length=1_000)]


class LimitsBody(Fields):
    """null is unlimited; an absent per_player is 1."""

    per_player: Limit = 1
    per_store: Limit = None
    total: Limit = None


class CampaignBody(Fields):
    """A campaign to be made."""

    id: str
    name: str
    starts_at: When
    ends_at: When
    time_zone: Annotated[str, Field(max_length=64)]
    games: Names = Field(default_factory=list)
    regions: Names = Field(default_factory=list)
    limits: LimitsBody = LimitsBody()


class CampaignChanges(Fields):
    """What is to be changed of a campaign; what is left out stays."""

    name: str | None = None
    starts_at: When | None = None
    ends_at: When | None = None
    time_zone: Annotated[str, Field(max_length=64)] | None = None
    games: Names | None = None
    regions: Names | None = None
    limits: LimitsBody | None = None
    paused: Annotated[bool, Field(strict=True)] | None = None
    archived: Annotated[bool, Field(strict=True)] | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _is_given(cls, value: Any) -> Any:
        if value is None:
            message = "must not be null; leave it out to keep it"
            raise ValueError(message)
        return value


class CampaignPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Campaign]
    next_cursor: str | None


class CampaignRoutes:
    def __init__(self, campaigns: CampaignHandlers) -> None:
        self._campaigns = campaigns

    def routes(self) -> list[Route]:
        one = "/v1/campaigns/{campaign_id}"
        return [
            Route(
                method="POST",
                path="/v1/campaigns",
                handler=refusing(self.create),
                summary="Makes a campaign; asking again for the same answers 200 and changes nothing",
                scopes=ADMIN,
                body=CampaignBody,
                answer=Campaign,
                status=201,
                problems=(409,),
            ),
            Route(
                method="GET",
                path="/v1/campaigns",
                handler=refusing(self.page),
                summary="Lists campaigns in the order of their ids",
                scopes=ADMIN,
                query=PageQuery,
                answer=CampaignPage,
            ),
            Route(
                method="GET", path=one, handler=refusing(self.read), summary="Reads a campaign", scopes=ADMIN, answer=Campaign
            ),
            Route(
                method="PATCH",
                path=one,
                handler=refusing(self.change),
                summary="Changes a campaign: pauses it, extends it, archives it, …; answers once the other services can know",
                scopes=ADMIN,
                body=CampaignChanges,
                answer=Campaign,
                problems=(409,),
            ),
        ]

    async def create(self, call: Call[Any, CampaignBody]) -> Answer:
        body = call.body
        draft = CampaignDraft(
            id=body.id,
            name=body.name,
            starts_at=body.starts_at,
            ends_at=body.ends_at,
            time_zone=body.time_zone,
            games=tuple(body.games),
            regions=tuple(body.regions),
            limits=CampaignLimits(**body.limits.model_dump()),
        )
        campaign, is_new = await self._campaigns.create(draft, actor=call.caller.token_id, now=datetime.now(UTC))
        return Answer(value=campaign, status=HTTPStatus.CREATED if is_new else HTTPStatus.OK)

    async def page(self, call: Call[PageQuery, Any]) -> CampaignPage:
        limit = call.query.limit
        found = await self._campaigns.page(after(call.query), limit + 1, now=datetime.now(UTC))
        items, cursor = page_of(found, limit, lambda campaign: campaign.id)
        return CampaignPage(items=list(items), next_cursor=cursor)

    async def read(self, call: Call[Any, Any]) -> Campaign:
        return await self._campaigns.find(call.path["campaign_id"], now=datetime.now(UTC))

    async def change(self, call: Call[Any, CampaignChanges]) -> Campaign:
        changes = {name: _domain_value(getattr(call.body, name)) for name in call.body.model_fields_set}
        return await self._campaigns.change(
            call.path["campaign_id"], changes, actor=call.caller.token_id, now=datetime.now(UTC)
        )


def _domain_value(value: Any) -> Any:
    if isinstance(value, LimitsBody):
        return CampaignLimits(**value.model_dump())
    return tuple(value) if isinstance(value, list) else value
