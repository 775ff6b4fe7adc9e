"""What the ledger says of codes that were redeemed.

The values of a batch hold no cycles: `gc=False` keeps tens of thousands of them from being looked through again and again.
"""

from datetime import datetime

import msgspec

from shared.contracts.game_platforms import ReversalReason
from shared.contracts.redemption import Source

EventKey = tuple[str, str]
"""(platform, event_id)"""

PlayerKey = tuple[str, str]
"""(platform, player_id)"""

PlayerSlot = tuple[str, str, str]
"""(campaign_id, platform, player_id): what the limit per player counts."""

StoreSlot = tuple[str, str]
"""(campaign_id, store_id): what the limit per store counts."""


class Reversal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The taking back of a redemption. There is at most one for each."""

    event_id: str
    reason: ReversalReason
    occurred_at: datetime
    received_at: datetime
    decided_at: datetime
    source: Source


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An accepted redemption. `generation` counts the reversals that made the code redeemable again before it."""

    serial: int
    generation: int
    redemption_id: str
    platform: str
    event_id: str
    player_id: str
    campaign_id: str
    batch_id: str
    store_id: str
    store_region: str | None
    occurred_at: datetime
    received_at: datetime
    decided_at: datetime
    source: Source
    reversal: Reversal | None = None

    @property
    def is_open(self) -> bool:
        """Whether the code can be redeemed again."""
        return self.reversal is not None and self.reversal.reason.reopens_code

    @property
    def event(self) -> EventKey:
        return self.platform, self.event_id

    @property
    def player_slot(self) -> PlayerSlot:
        return self.campaign_id, self.platform, self.player_id

    @property
    def store_slot(self) -> StoreSlot:
        return self.campaign_id, self.store_id
