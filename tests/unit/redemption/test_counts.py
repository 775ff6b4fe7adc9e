"""What a batch holds of the campaigns that it touches, counted or not."""

from datetime import UTC, datetime

from services.redemption.domain.catalogue import Counting
from services.redemption.domain.counts import Counts
from services.redemption.domain.facts import Facts
from services.redemption.domain.ledger import LedgerEntry
from shared.contracts.game_platforms import ReversalReason
from shared.contracts.redemption import Source

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def entry() -> LedgerEntry:
    return LedgerEntry(
        serial=1,
        generation=0,
        redemption_id="r",
        platform="zork",
        event_id="e",
        player_id="p",
        campaign_id="spring",
        batch_id="b",
        store_id="s",
        store_region=None,
        occurred_at=NOW,
        received_at=NOW,
        decided_at=NOW,
        source=Source(epoch=1, partition=0, offset=0),
    )


def test_a_reversal_that_frees_no_code_holds_its_campaign_too() -> None:
    """Else a loop that starts to count players meanwhile could miss the slot that it frees."""
    counts = Counts(Facts(), Counting())
    counts.release(entry(), ReversalReason.REFUND)
    assert counts.campaigns["spring"].net == 0


def test_what_is_redeemed_and_taken_back_in_a_batch_adds_up_to_nothing() -> None:
    counts = Counts(Facts(), Counting(by_player=frozenset({"spring"})))
    counts.add(entry())
    counts.release(entry(), ReversalReason.MISTAKE)
    assert (counts.campaigns["spring"].net, counts.campaigns["spring"].peak) == (0, 1)
    assert counts.players == {("spring", "zork", "p"): 0}
