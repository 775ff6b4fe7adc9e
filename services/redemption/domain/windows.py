"""Whether a request is within its campaign's time, games and regions (`semantics.md`, rows 9 to 12)."""

from datetime import datetime, timedelta
from math import ceil
from typing import Final

from shared.contracts.codegen import Campaign
from shared.contracts.game_platforms import RedeemRequest
from shared.contracts.redemption import OutcomeName

OCCURRED_BEFORE_LIMIT: Final = timedelta(hours=72)
OCCURRED_AFTER_LIMIT: Final = timedelta(minutes=5)


def outside(campaign: Campaign, request: RedeemRequest, received_at: datetime) -> OutcomeName | None:
    """The first of these rows that fails, None for a request within."""
    occurred_at = request.occurred_at
    if not received_at - OCCURRED_BEFORE_LIMIT <= occurred_at <= received_at + OCCURRED_AFTER_LIMIT:
        return OutcomeName.EVENT_TIME_OUT_OF_RANGE
    if occurred_at < campaign.starts_at:
        return OutcomeName.NOT_YET_ACTIVE
    if occurred_at >= campaign.ends_at or campaign.archived:
        return OutcomeName.EXPIRED
    if campaign.games and request.platform not in campaign.games:
        return OutcomeName.WRONG_GAME
    if campaign.regions and request.region not in campaign.regions:
        return OutcomeName.REGION_NOT_ALLOWED
    return None


def seconds_until(moment: datetime, now: datetime) -> int:
    """Whole seconds, at least one."""
    return max(1, ceil((moment - now).total_seconds()))
