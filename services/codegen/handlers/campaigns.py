"""Making and changing campaigns."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.codegen.domain.campaigns import CampaignDraft, changed_campaign, new_campaign, same_definition
from services.codegen.domain.refusals import Conflict, Missing
from services.codegen.handlers.announcing import Announcements, campaign_record
from services.codegen.store.database import Database
from shared.contracts.codegen import Campaign
from shared.contracts.topics import CAMPAIGNS


class CampaignHandlers:
    def __init__(self, database: Database, announcements: Announcements) -> None:
        self._database = database
        self._announcements = announcements

    async def create(self, draft: CampaignDraft, *, actor: str, now: datetime) -> tuple[Campaign, bool]:
        """The campaign, and whether it is new. Asking again for the same changes nothing.

        Raises Wrong, and Conflict when the id is taken by one with other values.
        """
        campaign = new_campaign(draft, now=now)
        async with self._database.transaction() as session:
            if not await session.campaigns.insert_campaign(campaign):
                known = await session.campaigns.find_campaign(campaign.id, now)
                if known is None or not same_definition(known, campaign):
                    raise Conflict(f"There is a campaign {campaign.id} already, with other values")
                campaign, is_new = known, False
                ids = await session.outbox.outbox_of_keys(CAMPAIGNS.name, [campaign.id])
            else:
                is_new = True
                await session.audit.insert_audit(now, actor, "campaign.created", campaign.id, msgspec.to_builtins(campaign))
                ids = await session.outbox.insert_outbox([campaign_record(campaign)])
        await self._announcements.wait(ids)
        return campaign, is_new

    async def change(self, campaign_id: str, changes: Mapping[str, Any], *, actor: str, now: datetime) -> Campaign:
        """Raises Missing, Wrong, and Conflict for a time zone that is frozen."""
        async with self._database.transaction() as session:
            campaign = await session.campaigns.lock_campaign(campaign_id, now)
            if campaign is None:
                raise Missing("campaign")
            published = await session.campaigns.campaign_has_published(campaign_id)
            wanted = changed_campaign(campaign, changes, published=published, now=now)
            if wanted.revision == campaign.revision:
                ids = await session.outbox.outbox_of_keys(CAMPAIGNS.name, [campaign_id])
            else:
                await session.campaigns.update_campaign(wanted)
                await session.audit.insert_audit(
                    now, actor, "campaign.changed", campaign_id, msgspec.to_builtins(dict(changes))
                )
                ids = await session.outbox.insert_outbox([campaign_record(wanted)])
        await self._announcements.wait(ids)
        return wanted

    async def find(self, campaign_id: str, *, now: datetime) -> Campaign:
        async with self._database.reading() as session:
            campaign = await session.campaigns.find_campaign(campaign_id, now)
        if campaign is None:
            raise Missing("campaign")
        return campaign

    async def page(self, after: str, limit: int, *, now: datetime) -> Sequence[Campaign]:
        async with self._database.reading() as session:
            return await session.campaigns.list_campaigns(after, limit, now)
