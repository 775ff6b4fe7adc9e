"""A campaign as reporting sees it, and what a caller may see of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class State(StrEnum):
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCampaign:
    """A campaign's window is half-open."""

    id: str
    name: str
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    paused: bool
    archived: bool

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def state(self, now: datetime) -> State:
        if self.archived:
            return State.ARCHIVED
        if now >= self.ends_at:
            return State.ENDED
        if self.paused:
            return State.PAUSED
        return State.SCHEDULED if now < self.starts_at else State.ACTIVE

    def days_left(self, now: datetime) -> int:
        """Days until the end, a begun one counted whole; 0 after it, and the whole window's before it begins."""
        if self.archived or now >= self.ends_at:
            return 0
        left = self.ends_at - max(now, self.starts_at)
        return -(-left // timedelta(days=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Which stores a caller may see: all, or those named and those of the chains named."""

    everything: bool
    stores: frozenset[str] = frozenset()
    chains: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request asks for, as it came: period as text, filters None where not given."""

    since: str | None = None
    until: str | None = None
    stores: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    chains: tuple[str, ...] | None = None
