"""What a batch writes, as the columns that the schema's functions take: a text a column, None where there are no rows."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec

from services.redemption.domain.budgets import Tally
from services.redemption.domain.catalogue import Counting
from services.redemption.domain.facts import Change
from services.redemption.domain.ledger import LedgerEntry, PlayerKey, PlayerSlot, StoreSlot
from services.redemption.store.arguments import microseconds, numbers, numbers_or_none, texts

Columns = Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that campaigns, and stores of campaigns, may reach; a campaign without limit is left out."""

    totals: Mapping[str, int]
    per_store: Mapping[str, int]


def keys(rows: Iterable[Sequence[str]], width: int) -> tuple[str, ...]:
    """The columns of keys of so many texts; empty texts for none."""
    columns = list(zip(*rows, strict=True))
    return tuple(texts(column) for column in columns) if columns else ("",) * width


def redemptions(entries: Collection[LedgerEntry]) -> Columns:
    """In the order of their serials, in which two loops cannot wait for each other."""
    if not entries:
        return None
    rows = sorted(entries, key=attrgetter("serial"))
    received = {moment: microseconds(moment) for moment in {e.received_at for e in rows}}
    return (
        numbers([e.serial for e in rows]),
        numbers([e.generation for e in rows]),
        numbers([e.redemption_id for e in rows]),
        texts([e.platform for e in rows]),
        texts([e.event_id for e in rows]),
        texts([e.player_id for e in rows]),
        texts([e.campaign_id for e in rows]),
        texts([e.batch_id for e in rows]),
        texts([e.store_id for e in rows]),
        texts([e.store_region or "" for e in rows]),
        numbers([microseconds(e.occurred_at) for e in rows]),
        numbers([received[e.received_at] for e in rows]),
        numbers([e.source.offset for e in rows]),
    )


def reversals(entries: Collection[LedgerEntry]) -> str | None:
    """JSON, as there are few."""
    return msgspec.json.encode([_reversal(entry) for entry in entries]).decode() if entries else None


def attempts(
    of_players: Mapping[PlayerKey, Sequence[int]],
    guessers: Collection[PlayerKey],
    known: Mapping[PlayerKey, Sequence[int]],
) -> Columns:
    """The attempts, then the guessers among their players with the sum of the times that were known, to see changes by."""
    if not of_players:
        return None
    rows = [(platform, player, at) for (platform, player), times in of_players.items() for at in times]
    return (
        *keys([(platform, player) for platform, player, _ in rows], 2),
        numbers([at for _, _, at in rows]),
        *keys(guessers, 2),
        numbers([sum(known.get(player, ())) for player in guessers]),
    )


def tallies(rows: Sequence[Tally]) -> Columns:
    if not rows:
        return None
    return (
        texts([t.platform for t in rows]),
        numbers([t.starts_at for t in rows]),
        numbers([t.requests for t in rows]),
        numbers([t.unknown for t in rows]),
    )


def players_begun(changes: Mapping[PlayerSlot, int], counts: Mapping[PlayerSlot, int]) -> Columns:
    """Players who had no counter."""
    slots = [slot for slot in changes if slot not in counts]
    return (*keys(slots, 3), numbers([changes[slot] for slot in slots])) if slots else None


def players_changed(changes: Mapping[PlayerSlot, int], counts: Mapping[PlayerSlot, int]) -> Columns:
    """Players' counters with what they were and what they become."""
    slots = [slot for slot in changes if slot in counts]
    if not slots:
        return None
    return (
        *keys(slots, 3),
        numbers([counts[slot] for slot in slots]),
        numbers([counts[slot] + changes[slot] for slot in slots]),
    )


def campaigns_held(changes: Mapping[str, Change], counting: Counting) -> Columns:
    """Campaigns whose totals are not counted."""
    campaigns = [campaign for campaign in changes if campaign not in counting.in_total]
    if not campaigns:
        return None
    return texts(campaigns), numbers([campaign in counting.by_player for campaign in campaigns])


def campaigns_counted(changes: Mapping[str, Change], totals: Mapping[str, int], counting: Counting) -> Columns:
    """Campaigns whose totals are counted."""
    campaigns = [campaign for campaign in changes if campaign in counting.in_total]
    if not campaigns:
        return None
    return (
        texts(campaigns),
        numbers([changes[campaign].net for campaign in campaigns]),
        numbers([changes[campaign].peak for campaign in campaigns]),
        numbers_or_none(totals.get(campaign) for campaign in campaigns),
        numbers([campaign in counting.by_player for campaign in campaigns]),
        numbers([campaign in counting.by_store for campaign in campaigns]),
    )


def stores(changes: Mapping[StoreSlot, Change], per_store: Mapping[str, int]) -> Columns:
    if not changes:
        return None
    return (
        *keys(changes, 2),
        numbers([change.net for change in changes.values()]),
        numbers([change.peak for change in changes.values()]),
        numbers_or_none(per_store.get(campaign) for campaign, _ in changes),
    )


def _reversal(entry: LedgerEntry) -> dict[str, Any]:
    reversal = entry.reversal
    assert reversal is not None
    return {
        "serial": entry.serial,
        "generation": entry.generation,
        "redemption_id": entry.redemption_id,
        "event_id": reversal.event_id,
        "reason": reversal.reason,
        "occurred_at": reversal.occurred_at,
        "received_at": reversal.received_at,
        "decided_at": reversal.decided_at,
        "source_epoch": reversal.source.epoch,
        "source_partition": reversal.source.partition,
        "source_offset": reversal.source.offset,
    }
