"""Campaigns: their window in their own time zone, and the state that follows from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from services.codegen.domain.refusals import Conflict, Fault, Wrong, identifier_fault, name_fault, texts_faults
from shared.contracts.codec import parse_time
from shared.contracts.codegen import Campaign, CampaignLimits, CampaignState
from shared.contracts.game_platforms import PLATFORM_LENGTH, REGION_LENGTH

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Whoever follows campaigns asks for days, weeks and months in any zone; calendars have none beyond the ends of time."""

DEFINING_FIELDS: Final = ("name", "starts_at", "ends_at", "time_zone", "games", "regions", "limits")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignDraft:
    """A campaign as it was asked for; the times are still texts, read in its zone."""

    id: str
    name: str
    starts_at: str
    ends_at: str
    time_zone: str
    games: tuple[str, ...]
    regions: tuple[str, ...]
    limits: CampaignLimits


def state_of(*, starts_at: datetime, ends_at: datetime, paused: bool, archived: bool, now: datetime) -> CampaignState:
    """The state that window and flags mean at a moment; the window is half-open."""
    if archived:
        return CampaignState.ARCHIVED
    if now >= ends_at:
        return CampaignState.ENDED
    if paused:
        return CampaignState.PAUSED
    return CampaignState.SCHEDULED if now < starts_at else CampaignState.ACTIVE


def with_state(campaign: Campaign, now: datetime) -> Campaign:
    """The campaign with the state that it has now."""
    state = state_of(
        starts_at=campaign.starts_at,
        ends_at=campaign.ends_at,
        paused=campaign.paused,
        archived=campaign.archived,
        now=now,
    )
    return msgspec.structs.replace(campaign, state=state)


def new_campaign(draft: CampaignDraft, *, now: datetime) -> Campaign:
    """The campaign that a draft describes. Raises Wrong, naming every field that is not right."""
    faults = _text_faults(draft)
    starts_at, ends_at, window_faults = _window(draft.starts_at, draft.ends_at, draft.time_zone)
    faults += window_faults
    if faults or starts_at is None or ends_at is None:
        raise Wrong(*faults)
    campaign = Campaign(
        revision=1,
        id=draft.id,
        name=draft.name,
        starts_at=starts_at,
        ends_at=ends_at,
        time_zone=draft.time_zone,
        games=draft.games,
        regions=draft.regions,
        limits=draft.limits,
        state=CampaignState.SCHEDULED,
        created_at=now,
        updated_at=now,
    )
    return with_state(campaign, now)


def same_definition(one: Campaign, other: Campaign) -> bool:
    """Whether two campaigns were asked for in the same way."""
    return all(getattr(one, name) == getattr(other, name) for name in DEFINING_FIELDS)


def changed_campaign(campaign: Campaign, changes: Mapping[str, Any], *, published: bool, now: datetime) -> Campaign:
    """The campaign with some fields changed, its revision one up; the same object when nothing differs.

    Raises Wrong for what is not right, Conflict for a time zone that is frozen since a batch was published (rule 18).
    """
    draft = CampaignDraft(
        id=campaign.id,
        name=changes.get("name", campaign.name),
        starts_at=changes.get("starts_at", campaign.starts_at.isoformat()),
        ends_at=changes.get("ends_at", campaign.ends_at.isoformat()),
        time_zone=changes.get("time_zone", campaign.time_zone),
        games=changes.get("games", campaign.games),
        regions=changes.get("regions", campaign.regions),
        limits=changes.get("limits", campaign.limits),
    )
    wanted = new_campaign(draft, now=now)
    flags = {name: changes.get(name, getattr(campaign, name)) for name in ("paused", "archived")}
    if wanted.time_zone != campaign.time_zone and published:
        raise Conflict("The time zone cannot be changed any more: a batch of this campaign is published")
    if same_definition(wanted, campaign) and all(getattr(campaign, name) == value for name, value in flags.items()):
        return with_state(campaign, now)
    wanted = msgspec.structs.replace(wanted, revision=campaign.revision + 1, created_at=campaign.created_at, **flags)
    return with_state(wanted, now)


def _text_faults(draft: CampaignDraft) -> list[Fault]:
    named = [("id", identifier_fault(draft.id)), ("name", name_fault(draft.name))]
    return [
        *(Fault(field, message) for field, message in named if message),
        *texts_faults("games", draft.games, length=PLATFORM_LENGTH),
        *texts_faults("regions", draft.regions, length=REGION_LENGTH),
    ]


def _window(starts: str, ends: str, zone_name: str) -> tuple[datetime | None, datetime | None, list[Fault]]:
    zone = _zone(zone_name)
    if zone is None:
        return None, None, [Fault("time_zone", "is not a time zone's name, such as Europe/London")]
    faults: list[Fault] = []
    starts_at = _moment("starts_at", starts, zone, faults, days=0)
    ends_at = _moment("ends_at", ends, zone, faults, days=1)
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        faults.append(Fault("ends_at", "must be after starts_at"))
    return starts_at, ends_at, faults


def _moment(field: str, text: str, zone: ZoneInfo, faults: list[Fault], *, days: int) -> datetime | None:
    """A date means its whole day in the campaign's zone: a window that ends on it ends with it."""
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=days)
            moment = datetime.combine(day, time(), zone).astimezone(UTC)
        else:
            moment = parse_time(text)
    except (ValueError, OverflowError, msgspec.ValidationError):
        faults.append(Fault(field, "must be a time such as 2026-11-22T12:00:00Z, or a date"))
        return None
    if not EARLIEST <= moment < LATEST:
        faults.append(Fault(field, "must lie in the years 1970 to 9998"))
        return None
    return moment


def _zone(name: str) -> ZoneInfo | None:
    return ZoneInfo(name) if name in _zone_names() else None


@cache
def _zone_names() -> frozenset[str]:
    """Not every file of a machine's time zones: `localtime` is another zone elsewhere, and `right/` counts leap seconds."""
    return frozenset(available_timezones() - {"localtime", "Factory"})
