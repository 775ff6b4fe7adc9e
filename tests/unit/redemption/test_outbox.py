"""Outcomes as they are published: the same keys and values however often, traces beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.redemption.domain.places import StoredOutcome, StoredOutcomes
from services.redemption.handlers.outbox import compress, decompress, publish_outcomes
from shared.contracts.redemption import OutcomeType
from shared.kafka.records import NewRecord
from shared.telemetry.traces import HEADER


@dataclass
class Published:
    records: list[NewRecord] = field(default_factory=list)

    async def publish_batch(self, topic: str, partition: int, records: Sequence[NewRecord]) -> None:
        self.records += records


def stored() -> StoredOutcomes:
    outcomes = [StoredOutcome(b"k%d" % n, b"v%d" % n, n, OutcomeType.ACCEPTED) for n in range(7, 10)]
    return StoredOutcomes(epoch=1, partition=3, decided_at="2026-11-25T12:00:00.000Z", outcomes=outcomes)


async def test_a_trace_is_one_more_header_of_its_own_outcome_alone() -> None:
    traced, plain = Published(), Published()
    await publish_outcomes(traced, stored(), traces={8: b"a trace", 900: b"of a dead letter"})
    await publish_outcomes(plain, stored())
    added = [(HEADER, b"a trace")]
    differences = [list(t.headers[len(p.headers) :]) for t, p in zip(traced.records, plain.records, strict=True)]
    assert differences == [[], added, []]


async def test_what_is_published_again_from_the_table_has_the_same_keys_and_values_without_the_trace() -> None:
    first, again = Published(), Published()
    await publish_outcomes(first, stored(), traces={7: b"a trace"})
    await publish_outcomes(again, decompress(compress(stored())))
    assert [(r.key, r.value) for r in again.records] == [(r.key, r.value) for r in first.records]
    assert [dict(r.headers)["ce_id"] for r in again.records] == [dict(r.headers)["ce_id"] for r in first.records]
    assert not any(HEADER in dict(r.headers) for r in again.records)
