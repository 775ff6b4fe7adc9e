"""Taking outcomes that were published, but that Postgres has forgotten, back into the ledger."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from services.redemption.domain.ledger import LedgerEntry, Reversal
from services.redemption.domain.places import Place
from shared.contracts.game_platforms import ReversalReason
from shared.contracts.redemption import Effect, Outcome, Source, effect_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """Rows to add. `twice` are the serials of codes that were accepted again while their first redemption was forgotten.

    An event that was sent and accepted again meanwhile stays with its second redemption.
    """

    redemptions: Sequence[LedgerEntry]
    reversals: Sequence[LedgerEntry]
    twice: frozenset[int]


def lost_outcomes(place: Place, published: Iterable[Outcome]) -> Sequence[Outcome] | None:
    """The outcomes that the ledger knows nothing of, each once, in order; None when the first of them is not among these."""
    lost = {o.source: o for o in published if (o.source.epoch, o.source.offset) >= (place.epoch, place.position)}
    ordered = [lost[source] for source in sorted(lost)]
    expected: Source | None = place.last_source
    for outcome in ordered:
        if outcome.prev != expected:
            return None
        expected = outcome.source
    return ordered


def adopt(lost: Iterable[Outcome], known: Iterable[LedgerEntry]) -> Adopted:
    """The ledger rows that the outcomes of all partitions stand for. `known` are the ledger's entries of their serials."""
    outcomes = list(lost)
    by_serial: dict[int, list[LedgerEntry]] = defaultdict(list)
    for entry in known:
        by_serial[entry.serial].append(entry)
    reversals = {o.redemption_id: _reversal(o) for o in outcomes if effect_of(o) is Effect.REVERSAL}
    accepted: dict[int, list[LedgerEntry]] = defaultdict(list)
    again = {entry.event for entries in by_serial.values() for entry in entries}
    for outcome in outcomes:
        if effect_of(outcome) is Effect.REDEMPTION and (outcome.platform, outcome.event_id) not in again:
            entry = _entry(outcome, reversals.get(outcome.redemption_id))
            accepted[entry.serial].append(entry)
    added = [entry for serial, entries in accepted.items() for entry in _in_generations(entries, by_serial[serial])]
    taken_back = [
        msgspec.structs.replace(entry, reversal=reversals[entry.redemption_id])
        for entries in by_serial.values()
        for entry in entries
        if entry.redemption_id in reversals
    ]
    return Adopted(
        redemptions=added,
        reversals=taken_back + [entry for entry in added if entry.reversal is not None],
        twice=frozenset(_accepted_twice(added, [*taken_back, *(e for es in by_serial.values() for e in es)])),
    )


def _in_generations(entries: list[LedgerEntry], known: Sequence[LedgerEntry]) -> Iterable[LedgerEntry]:
    """One after the other: what was taken back comes before what was not, else as decided."""
    first = max((entry.generation for entry in known), default=-1) + 1
    ordered = sorted(entries, key=lambda entry: (not entry.is_open, entry.decided_at, entry.source))
    return [msgspec.structs.replace(entry, generation=first + place) for place, entry in enumerate(ordered)]


def _accepted_twice(added: Iterable[LedgerEntry], known: Iterable[LedgerEntry]) -> Iterable[int]:
    """Serials with more than one redemption that was not taken back in a way that reopens the code."""
    latest: dict[str, LedgerEntry] = {}
    for entry in (*added, *known):
        latest.setdefault(entry.redemption_id, entry)
    counts: dict[int, int] = defaultdict(int)
    for entry in latest.values():
        counts[entry.serial] += not entry.is_open
    return (serial for serial, count in counts.items() if count > 1)


def _entry(outcome: Outcome, reversal: Reversal | None) -> LedgerEntry:
    assert outcome.serial is not None
    return LedgerEntry(
        serial=outcome.serial,
        generation=0,
        redemption_id=outcome.redemption_id or "",
        platform=outcome.platform,
        event_id=outcome.event_id,
        player_id=outcome.player_id or "",
        campaign_id=outcome.campaign_id or "",
        batch_id=outcome.batch_id or "",
        store_id=outcome.store_id or "",
        store_region=outcome.store_region,
        occurred_at=outcome.occurred_at,
        received_at=outcome.received_at,
        decided_at=outcome.decided_at,
        source=outcome.source,
        reversal=reversal,
    )


def _reversal(outcome: Outcome) -> Reversal:
    assert isinstance(outcome.reason, str)
    return Reversal(
        event_id=outcome.event_id,
        reason=ReversalReason(outcome.reason),
        occurred_at=outcome.occurred_at,
        received_at=outcome.received_at,
        decided_at=outcome.decided_at,
        source=outcome.source,
    )
