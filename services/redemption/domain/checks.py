"""What a code is worth now, for a platform that asks without redeeming it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.redemption.domain.catalogue import Catalogue
from services.redemption.domain.ledger import LedgerEntry
from services.redemption.domain.requests import CodeReading
from shared.contracts.redemption import Public


class CheckedState(StrEnum):
    """The state of a code (`semantics.md`), or that nobody was given it."""

    REDEEMED = "redeemed"
    VOID = "void"
    EXPIRED = "expired"
    ISSUED = "issued"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Checked:
    """`public` is what a player who redeems it now would see, limits and regions aside."""

    state: CheckedState
    public: Public


def check_code(
    reading: CodeReading, latest: LedgerEntry | None, catalogue: Catalogue, *, platform: str, now: datetime, breaker_open: bool
) -> Checked:
    """The state of a code as of now. `latest` is its last redemption."""
    if reading.serial is None or reading.batch is None:
        return Checked(CheckedState.UNKNOWN, Public.TRY_LATER if breaker_open else Public.NOT_VALID)
    if latest is not None and not latest.is_open:
        return Checked(CheckedState.REDEEMED, Public.NOT_VALID)
    if catalogue.is_void(reading.serial):
        return Checked(CheckedState.VOID, Public.NOT_VALID)
    campaign = catalogue.campaign(reading.batch.campaign_id)
    assert campaign is not None
    if campaign.archived or now >= campaign.ends_at:
        return Checked(CheckedState.EXPIRED, Public.NOT_VALID)
    if catalogue.is_paused(reading.batch, reading.store_id) or now < campaign.starts_at:
        return Checked(CheckedState.ISSUED, Public.TRY_LATER)
    allowed = not campaign.games or platform in campaign.games
    return Checked(CheckedState.ISSUED, Public.REDEEMED if allowed else Public.NOT_VALID)
