"""A situation to decide in: a catalogue, requests, and what is known, in a few words."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from services.redemption.domain.budgets import Budgets
from services.redemption.domain.catalogue import Catalogue
from services.redemption.domain.decisions import decide_batch
from services.redemption.domain.facts import Decisions, Facts
from services.redemption.domain.requests import ABSENT, MALFORMED, CodeReading, CodeState, Received
from shared.contracts.codegen import (
    Allotment,
    Batch,
    BatchState,
    Campaign,
    CampaignLimits,
    CampaignState,
    Store,
    Void,
    VoidRange,
)
from shared.contracts.game_platforms import RedeemRequest, ReversalReason, ReverseRequest
from shared.contracts.redemption import Outcome, Source

NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BATCH_CODES: Final = 100
STORE_CODES: Final = 10


def campaign(campaign_id: str = "spring", **changes: Any) -> Campaign:
    values: dict[str, Any] = {
        "revision": 1,
        "id": campaign_id,
        "name": campaign_id,
        "starts_at": NOW - timedelta(days=10),
        "ends_at": NOW + timedelta(days=10),
        "time_zone": "UTC",
        "limits": CampaignLimits(per_player=None),
        "state": CampaignState.ACTIVE,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Campaign(**{**values, **changes})


def batch(batch_id: str = "b-1", **changes: Any) -> Batch:
    """A hundred codes, serials 1 to 100, ten for each of the stores s-0 to s-9."""
    values: dict[str, Any] = {
        "revision": 1,
        "id": batch_id,
        "campaign_id": "spring",
        "state": BatchState.PUBLISHED,
        "key_id": "k1",
        "key_check": "",
        "words": "none",
        "count": BATCH_CODES,
        "first_serial": 1,
        "last_serial": BATCH_CODES,
        "allotments": tuple(
            Allotment(store_id=f"s-{n}", count=STORE_CODES, first_serial=n * STORE_CODES + 1, last_serial=(n + 1) * STORE_CODES)
            for n in range(BATCH_CODES // STORE_CODES)
        ),
    }
    return Batch(**{**values, **changes})


def store(store_id: str, **changes: Any) -> Store:
    return Store(revision=1, id=store_id, name=store_id, region="US-CA", **changes)


def void(first: int, last: int) -> Void:
    ranges = (VoidRange(first=first, last=last, batch_id="b-1", store_id="s-0", codes=last - first + 1),)
    return Void(revision=1, id=f"v-{first}", ranges=ranges, reason="stolen", voided_by="me", voided_at=NOW)


def catalogue(*values: Campaign | Batch | Store | Void) -> Catalogue:
    """The campaign spring, its batch and its stores; what is given replaces or adds."""
    made = Catalogue()
    for value in (campaign(), batch(), *(store(f"s-{n}") for n in range(10)), *values):
        match value:
            case Campaign():
                made.put_campaign(value)
            case Batch():
                made.put_batch(value)
            case Store():
                made.put_store(value)
            case Void():
                made.put_void(value)
    return made


class Situation:
    """Requests on one partition, decided in batches against a ledger in memory that is exact and slow."""

    def __init__(self, known: Catalogue | None = None, budgets: Budgets | None = None) -> None:
        self.catalogue = known or catalogue()
        self.budgets = budgets or Budgets()
        self.offset = 0
        self.prev: Source | None = None
        self.facts = Facts(campaign_counts={}, store_counts={})

    def redeem(self, event_id: str, serial: int | str | None, *, at: datetime = NOW, **changes: Any) -> Received:
        """A request for a serial; None is a code that nobody was given, a text one that is malformed."""
        values = {"platform": "zork", "player_id": f"p-{event_id}", "occurred_at": at, "region": None, **changes}
        request = RedeemRequest(event_id=event_id, code="3VE3VGT2K", **values)
        return self.received(request, self.reading(serial), at)

    def reverse(
        self,
        event_id: str,
        reverses: str,
        *,
        reason: str = "grant_failed",
        at: datetime = NOW,
        serial: int | None = None,
        occurred_at: datetime | None = None,
    ) -> Received:
        request = ReverseRequest(
            event_id=event_id, platform="zork", reverses=reverses, reason=ReversalReason(reason), occurred_at=occurred_at or at
        )
        return self.received(request, self.reading(serial) if serial is not None else ABSENT, at)

    def reading(self, serial: int | str | None) -> CodeReading:
        if isinstance(serial, str):
            return MALFORMED
        known = next((b for b in self.catalogue.batches.values() if serial and b.first_serial <= serial <= b.last_serial), None)
        store_id = self.catalogue.store_id_of(known, serial) if known and serial else None
        if store_id is None:
            return CodeReading(state=CodeState.UNKNOWN, hint="3VE••••••")
        return CodeReading(state=CodeState.ISSUED, hint="3VE••••••", serial=serial, batch=known, store_id=store_id)

    def received(self, request: RedeemRequest | ReverseRequest, reading: CodeReading, at: datetime) -> Received:
        self.offset += 1
        return Received(
            request=request,
            reading=reading,
            source=Source(epoch=1, partition=0, offset=self.offset),
            received_at=at,
            received_milliseconds=round(at.timestamp() * 1000),
            key=b"key",
        )

    def decide(self, *requests: Received) -> list[Outcome]:
        """Decides a batch and keeps what it changed for the next."""
        decisions = decide_batch(
            requests,
            self.facts,
            self.catalogue,
            self.budgets,
            decided_at=max(r.received_at for r in requests),
            prev=self.prev,
            counting=self.catalogue.counting,
        )
        self.facts = keep(self.facts, decisions)
        self.prev = decisions.last_source
        return list(decisions.outcomes)


def keep(facts: Facts, decisions: Decisions) -> Facts:
    """What the ledger says after a batch was written, everything locked."""
    entries = {entry.redemption_id: entry for entry in (*facts.entries, *decisions.redemptions, *decisions.reversals)}
    players = dict(facts.player_counts)
    for slot, added in decisions.player_changes.items():
        players[slot] = players.get(slot, 0) + added
    campaigns, stores = dict(facts.campaign_counts or {}), dict(facts.store_counts or {})
    for campaign_id, change in decisions.campaign_changes.items():
        campaigns[campaign_id] = campaigns.get(campaign_id, 0) + change.net
    for store_slot, change in decisions.store_changes.items():
        stores[store_slot] = stores.get(store_slot, 0) + change.net
    attempts = {player: list(times) for player, times in facts.attempts.items()}
    for player, times in decisions.attempts.items():
        attempts.setdefault(player, []).extend(times)
    return Facts(
        entries=list(entries.values()),
        player_counts=players,
        attempts=attempts,
        tallies=[*facts.tallies, *decisions.tallies],
        campaign_counts=campaigns,
        store_counts=stores,
    )
