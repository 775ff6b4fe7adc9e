"""Windows, states and changes of campaigns."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.codegen.domain.campaigns import CampaignDraft, changed_campaign, new_campaign, state_of
from services.codegen.domain.refusals import Conflict, Wrong
from shared.contracts.codegen import CampaignLimits, CampaignState

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def draft(**changes: Any) -> CampaignDraft:
    values: dict[str, Any] = {
        "id": "spring",
        "name": "Spring",
        "starts_at": "2026-11-01T00:00:00Z",
        "ends_at": "2026-12-01T00:00:00Z",
        "time_zone": "America/New_York",
        "games": ("zork",),
        "regions": (),
        "limits": CampaignLimits(),
        **changes,
    }
    return CampaignDraft(**values)


def faults(**changes: Any) -> dict[str, str]:
    with pytest.raises(Wrong) as refused:
        new_campaign(draft(**changes), now=NOW)
    return {fault.field: fault.message for fault in refused.value.faults}


def test_a_date_means_its_whole_day_in_the_campaigns_zone() -> None:
    campaign = new_campaign(draft(starts_at="2026-11-01", ends_at="2026-11-01"), now=NOW)
    assert campaign.starts_at == datetime(2026, 11, 1, 4, tzinfo=UTC)
    assert campaign.ends_at == datetime(2026, 11, 2, 5, tzinfo=UTC), "the clocks go back on that day: it has 25 hours"


def test_every_field_that_is_wrong_is_named() -> None:
    found = faults(id="a b", name="\x07", games=("zork", "zork"), regions=("x" * 33,), starts_at="soon")
    assert set(found) == {"id", "name", "games.1", "regions.0", "starts_at"}


def test_an_end_that_is_not_after_the_start_is_refused() -> None:
    assert faults(ends_at="2026-11-01T00:00:00Z") == {"ends_at": "must be after starts_at"}


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "a\x00b", "x" * 300])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    assert set(faults(time_zone=zone)) == {"time_zone"}


@pytest.mark.parametrize("zone", ["localtime", "Factory", "posixrules", "posix/UTC", "right/UTC"])
def test_a_zone_that_is_another_or_none_on_other_machines_is_refused(zone: str) -> None:
    assert set(faults(time_zone=zone)) == {"time_zone"}


@pytest.mark.parametrize("text", ["2026-11-01T00:00:00", "2026-13-01", "9999-12-31", "1", ""])
def test_a_time_without_offset_or_meaning_is_refused(text: str) -> None:
    assert "ends_at" in faults(ends_at=text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1969-12-30", "9999-01-01T00:00:00Z"])
def test_a_time_that_calendars_end_near_is_refused(text: str) -> None:
    """Who follows campaigns asks for the days, weeks and months around it in any zone."""
    for field in ("starts_at", "ends_at"):
        assert faults(**{field: text})[field] == "must lie in the years 1970 to 9998"


def test_a_window_may_be_as_good_as_endless() -> None:
    campaign = new_campaign(draft(starts_at="1970-01-01T00:00:00Z", ends_at="9998-12-31T23:59:59Z"), now=NOW)
    assert (campaign.starts_at.year, campaign.ends_at.year) == (1970, 9998)


def test_the_window_is_half_open() -> None:
    start, end = NOW, NOW + timedelta(days=1)

    def at(moment: datetime, **flags: bool) -> CampaignState:
        return state_of(starts_at=start, ends_at=end, now=moment, **{"paused": False, "archived": False, **flags})

    assert at(start - timedelta(microseconds=1)) is CampaignState.SCHEDULED
    assert at(start) is CampaignState.ACTIVE
    assert at(end - timedelta(microseconds=1)) is CampaignState.ACTIVE
    assert at(end) is CampaignState.ENDED
    assert at(start, paused=True) is CampaignState.PAUSED
    assert at(end, paused=True) is CampaignState.ENDED
    assert at(start, archived=True, paused=True) is CampaignState.ARCHIVED


def test_a_change_raises_the_revision_and_nothing_else() -> None:
    campaign = new_campaign(draft(), now=NOW)
    later = NOW + timedelta(hours=1)
    changed = changed_campaign(campaign, {"paused": True}, published=False, now=later)
    assert (changed.revision, changed.paused, changed.state) == (2, True, CampaignState.PAUSED)
    assert (changed.created_at, changed.updated_at, changed.starts_at) == (NOW, later, campaign.starts_at)


def test_a_change_to_what_is_there_already_changes_nothing() -> None:
    campaign = new_campaign(draft(), now=NOW)
    same = changed_campaign(campaign, {"name": "Spring", "paused": False}, published=True, now=NOW + timedelta(hours=1))
    assert same == campaign


def test_the_time_zone_is_frozen_once_a_batch_is_published() -> None:
    campaign = new_campaign(draft(), now=NOW)
    assert changed_campaign(campaign, {"time_zone": "UTC"}, published=False, now=NOW).time_zone == "UTC"
    with pytest.raises(Conflict):
        changed_campaign(campaign, {"time_zone": "UTC"}, published=True, now=NOW)


def test_a_change_that_turns_the_window_around_is_refused() -> None:
    campaign = new_campaign(draft(), now=NOW)
    with pytest.raises(Wrong):
        changed_campaign(campaign, {"ends_at": "2026-10-01"}, published=False, now=NOW)
