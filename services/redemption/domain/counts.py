"""How far the limits' counters are while a batch is decided: what was known before, and what the batch has changed so far."""

from collections.abc import Mapping
from typing import TypeVar

from services.redemption.domain.catalogue import Counting
from services.redemption.domain.facts import Change, Facts
from services.redemption.domain.ledger import LedgerEntry, PlayerSlot, StoreSlot
from shared.contracts.codegen import Campaign
from shared.contracts.game_platforms import ReversalReason
from shared.contracts.redemption import OutcomeName

Slot = TypeVar("Slot")


class Counts:
    """Counts of players, stores and campaigns. `players`, `campaigns` and `stores` are the batch's own changes.

    Every campaign that the batch redeems or takes back something of is in `campaigns`, counted or not.
    """

    __slots__ = ("_counting", "_facts", "campaigns", "players", "stores")

    def __init__(self, facts: Facts, counting: Counting) -> None:
        self._facts = facts
        self._counting = counting
        self.players: dict[PlayerSlot, int] = {}
        self.campaigns: dict[str, Change] = {}
        self.stores: dict[StoreSlot, Change] = {}

    def reached(self, campaign: Campaign, player: PlayerSlot, store_id: str) -> OutcomeName | None:
        """The first limit of the campaign that one more redemption would break."""
        limits = campaign.limits
        if limits.per_player is not None and self._of_player(player) >= limits.per_player:
            return OutcomeName.PLAYER_LIMIT_REACHED
        if limits.per_store is not None:
            store = (campaign.id, store_id)
            if _is_full(self._facts.store_counts, self.stores, store, limits.per_store):
                return OutcomeName.STORE_LIMIT_REACHED
        if limits.total is not None and _is_full(self._facts.campaign_counts, self.campaigns, campaign.id, limits.total):
            return OutcomeName.CAMPAIGN_LIMIT_REACHED
        return None

    def add(self, entry: LedgerEntry) -> None:
        """Counts a redemption."""
        campaign_id = entry.campaign_id
        if campaign_id in self._counting.by_player:
            slot = entry.player_slot
            self.players[slot] = self.players.get(slot, 0) + 1
        _change(self.campaigns, campaign_id).add()
        if campaign_id in self._counting.by_store:
            _change(self.stores, entry.store_slot).add()

    def release(self, entry: LedgerEntry, reason: ReversalReason) -> None:
        """Frees the slots that a reversal for this reason frees."""
        campaign_id = entry.campaign_id
        campaign = _change(self.campaigns, campaign_id)
        if reason.frees_player_slot and campaign_id in self._counting.by_player:
            slot = entry.player_slot
            self.players[slot] = self.players.get(slot, 0) - 1
        if not reason.reopens_code:
            return
        campaign.release()
        if campaign_id in self._counting.by_store:
            _change(self.stores, entry.store_slot).release()

    def _of_player(self, slot: PlayerSlot) -> int:
        return self._facts.player_counts.get(slot, 0) + self.players.get(slot, 0)


def _change(changes: dict[Slot, Change], slot: Slot) -> Change:
    change = changes.get(slot)
    if change is None:
        change = changes[slot] = Change()
    return change


def _is_full(counts: Mapping[Slot, int] | None, changes: Mapping[Slot, Change], slot: Slot, limit: int) -> bool:
    """Without locked counts they are taken to be far from their limits, and checked when they are written (rule 8)."""
    if counts is None:
        return False
    change = changes.get(slot)
    return counts.get(slot, 0) + (change.net if change else 0) >= limit
