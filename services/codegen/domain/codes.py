"""A single code: the state that follows from redemption, void and campaign, and its story."""

from enum import StrEnum

import msgspec

from shared.contracts.codegen import BatchState, CampaignState
from shared.contracts.game_platforms import Moment


class CodeState(StrEnum):
    REDEEMED = "redeemed"
    VOID = "void"
    EXPIRED = "expired"
    ISSUED = "issued"


class RedemptionView(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted redemption of a code, and its reversal if there was one."""

    redemption_id: str
    platform: str
    event_id: str | None
    player_id: str | None
    redeemed_at: Moment | None
    decided_at: Moment | None
    reversed_at: Moment | None
    reversal_reason: str | None
    released: bool

    @property
    def stands(self) -> bool:
        """Whether the code counts as redeemed by it."""
        return self.redeemed_at is not None and not self.released


class VoidOfCode(msgspec.Struct, frozen=True, kw_only=True):
    """The void that covers a code."""

    id: str
    reason: str
    voided_by: str
    voided_at: Moment


class CodeView(msgspec.Struct, frozen=True, kw_only=True):
    """The whole story of a code, for a support agent. `redemption` is the one that stands."""

    code_hint: str
    serial: int
    batch_id: str
    batch_state: BatchState
    campaign_id: str
    campaign_state: CampaignState
    store_id: str
    store_name: str
    paused: bool
    state: CodeState
    redemption: RedemptionView | None
    void: VoidOfCode | None
    history: tuple[RedemptionView, ...]
    published_at: Moment | None
    as_of: Moment


def code_state(*, redeemed: bool, void: bool, campaign: CampaignState) -> CodeState:
    """The state of a code, in the order of `semantics.md`: redeemed, void, expired, issued."""
    if redeemed:
        return CodeState.REDEEMED
    if void:
        return CodeState.VOID
    over = campaign in (CampaignState.ENDED, CampaignState.ARCHIVED)
    return CodeState.EXPIRED if over else CodeState.ISSUED
