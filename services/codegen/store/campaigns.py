"""Campaigns as rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.codegen.domain.campaigns import with_state
from services.codegen.store.rows import Connection
from shared.contracts.codegen import Campaign, CampaignLimits, CampaignState
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignFigures:
    """Codes of a campaign: issued (published), ready to be published, redeemed, void."""

    issued: int = 0
    ready: int = 0
    redeemed: int = 0
    void: int = 0

    @property
    def outstanding(self) -> int:
        return max(0, self.issued - self.redeemed - self.void)


class Campaigns:
    """A campaign comes back with the state that it has at `now`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find_campaign(self, campaign_id: str, now: datetime) -> Campaign | None:
        row = await self._connection.fetchrow(queries.find_campaign, campaign_id)
        return _campaign(row, now) if row else None

    async def lock_campaign(self, campaign_id: str, now: datetime) -> Campaign | None:
        row = await self._connection.fetchrow(queries.lock_campaign, campaign_id)
        return _campaign(row, now) if row else None

    async def hold_campaign(self, campaign_id: str, now: datetime) -> Campaign | None:
        row = await self._connection.fetchrow(queries.hold_campaign, campaign_id)
        return _campaign(row, now) if row else None

    async def insert_campaign(self, campaign: Campaign) -> bool:
        """Whether the id was free."""
        added = await self._connection.fetchval(
            queries.insert_campaign, campaign.id, *_definition(campaign), campaign.created_at
        )
        return added is not None

    async def update_campaign(self, campaign: Campaign) -> None:
        await self._connection.execute(
            queries.update_campaign,
            campaign.id,
            *_definition(campaign),
            campaign.paused,
            campaign.archived,
            campaign.revision,
            campaign.updated_at,
        )

    async def list_campaigns(self, after: str, limit: int, now: datetime) -> Sequence[Campaign]:
        return [_campaign(row, now) for row in await self._connection.fetch(queries.list_campaigns, after, limit)]

    async def campaigns_by_id(self, ids: Sequence[str], now: datetime) -> Sequence[Campaign]:
        return [_campaign(row, now) for row in await self._connection.fetch(queries.campaigns_by_id, list(ids))]

    async def campaign_figures(self) -> Mapping[str, CampaignFigures]:
        """By campaign; one without a batch is not among them."""
        redeemed = {row["campaign_id"]: row["redeemed"] for row in await self._connection.fetch(queries.campaign_redeemed)}
        void = {row["campaign_id"]: row["void"] for row in await self._connection.fetch(queries.campaign_void)}
        return {
            row["campaign_id"]: CampaignFigures(
                issued=row["issued"],
                ready=row["ready"],
                redeemed=redeemed.get(row["campaign_id"], 0),
                void=void.get(row["campaign_id"], 0),
            )
            for row in await self._connection.fetch(queries.campaign_figures)
        }

    async def campaign_has_published(self, campaign_id: str) -> bool:
        return bool(await self._connection.fetchval(queries.campaign_has_published, campaign_id))


def _definition(campaign: Campaign) -> tuple[object, ...]:
    return (
        campaign.name,
        campaign.starts_at,
        campaign.ends_at,
        campaign.time_zone,
        list(campaign.games),
        list(campaign.regions),
        campaign.limits.per_player,
        campaign.limits.per_store,
        campaign.limits.total,
    )


def _campaign(row: asyncpg.Record, now: datetime) -> Campaign:
    campaign = Campaign(
        revision=row["revision"],
        id=row["id"],
        name=row["name"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        time_zone=row["time_zone"],
        games=tuple(row["games"]),
        regions=tuple(row["regions"]),
        limits=CampaignLimits(per_player=row["per_player"], per_store=row["per_store"], total=row["total"]),
        state=CampaignState.SCHEDULED,
        paused=row["paused"],
        archived=row["archived"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
    return with_state(campaign, now)
