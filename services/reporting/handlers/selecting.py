"""From what a request asks for, and what its caller may see, to the selection that figures are read of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.reporting.domain.campaigns import Access, Asked, KnownCampaign
from services.reporting.domain.periods import Period, day_start, local_day, read_period
from services.reporting.store.reading import FigureStore, Selection


class NotThere(Exception):  # noqa: N818 (the answer's own words)
    """There is no such thing, or the caller may not see it. `what` names its kind."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A selection with the campaign and the period that it was made from."""

    campaign: KnownCampaign
    period: Period | None
    of: Selection


def known_campaign(row: Mapping[str, Any]) -> KnownCampaign:
    return KnownCampaign(**row)


async def select(store: FigureStore, campaign_id: str, asked: Asked, access: Access, *, now: datetime) -> Selected:
    """Raises NotThere for a campaign, store, region or chain that is not there for this caller, and InvalidPeriod."""
    row = await store.campaign(campaign_id)
    if row is None:
        raise NotThere("campaign")
    campaign = known_campaign(row)
    zone = campaign.zone
    period = read_period(asked.since, asked.until, zone=zone, campaign_starts_at=campaign.starts_at, now=now)
    today = local_day(now, zone)
    return Selected(
        campaign=campaign,
        period=period,
        of=Selection(
            campaign_id=campaign_id,
            since=period.starts_at if period else None,
            until=period.ends_at if period else None,
            stores=await _stores(store, asked, access),
            now=now,
            today_began_at=day_start(today, zone),
            today=today,
        ),
    )


async def _stores(store: FigureStore, asked: Asked, access: Access) -> list[str] | None:
    allowed = None if access.everything else await _allowed(store, access)
    wanted = await _wanted(store, asked)
    if allowed is None or wanted is None:
        return sorted(allowed) if wanted is None and allowed is not None else wanted
    if asked.stores is not None and not set(asked.stores) <= allowed:
        raise NotThere("store")
    return sorted(set(wanted) & allowed)


async def _allowed(store: FigureStore, access: Access) -> set[str]:
    of_chains = await store.matching_stores(None, None, sorted(access.chains)) if access.chains else []
    return {*access.stores, *of_chains}


async def _wanted(store: FigureStore, asked: Asked) -> list[str] | None:
    if asked.stores is not None and not set(asked.stores) <= await store.known_stores(asked.stores):
        raise NotThere("store")
    if asked.regions is None and asked.chains is None:
        return None if asked.stores is None else sorted(asked.stores)
    for what, regions, chains in (("region", asked.regions, None), ("chain", None, asked.chains)):
        for name in regions or chains or ():
            if not await store.matching_stores(None, [name] if regions else None, [name] if chains else None):
                raise NotThere(what)
    return await store.matching_stores(asked.stores, asked.regions, asked.chains)
