"""Blocks: the same codes however often the making is interrupted, and rows as Postgres reads them."""

import hashlib
from datetime import UTC, datetime
from itertools import accumulate, pairwise

import numpy as np
import pytest

from services.codegen.domain import batches as rules
from services.codegen.domain.batches import BatchRow, serials_needed
from services.codegen.handlers import making
from services.codegen.handlers.making import BlockMaker, CannotMake
from services.codegen.store import copy_format
from services.codegen.store.batches import AllotmentRow
from shared.codes.alphabet import to_text
from shared.codes.decoding import ReservedRange, ReservedRanges
from shared.codes.ff1 import Ff1
from shared.codes.key_ring import CodeKey, KeyRing
from shared.codes.words import contains_word, share_skipped
from shared.contracts.codegen import BatchState

RING = KeyRing((CodeKey("k1", bytes(range(32))),))
NO_RANGES = ReservedRanges(())
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "BLOCK_SERIALS", 1_000)
    monkeypatch.setattr(making, "BLOCK_SERIALS", 1_000)


def batch_of(count: int, *, first: int = 1, loaded: int = 0, next_block: int = 0, width: int | None = None) -> BatchRow:
    width = width or serials_needed(count, skipped_share=share_skipped("1"))
    return BatchRow(
        number=7, id="b-1", campaign_id="spring", state=BatchState.GENERATING, count=count, stores=1, key_id="k1",
        key_check=RING.newest.check_value, words="1", first_serial=first, last_serial=first + width - 1, own_partition=True,
        publish_when_ready=False, paused=False, next_block=next_block, generated=loaded, loaded=loaded, verified=0, worker="w",
        claimed_at=NOW, loaded_at_claim=0, progress_at=NOW, error=None, revision=1, created_by="t", created_at=NOW,
        started_at=NOW, loaded_at=None, ready_at=None, published_at=None,
    )  # fmt: skip


def allotments_of(*counts: int, first_serials: dict[int, int] | None = None) -> list[AllotmentRow]:
    firsts = first_serials or {}
    return [
        AllotmentRow(
            place=place,
            store_id=f"s-{place}",
            store_name="",
            store_number=100 + place,
            count=count,
            first_serial=firsts.get(place),
            last_serial=None,
            sha256=None,
        )
        for place, count in enumerate(counts)
    ]


def make_all(maker: BlockMaker, start: int = 0) -> tuple[list[tuple[int, int, int]], dict[int, dict[str, object]]]:
    """Rows (serial, batch, store) and the last note of each allotment."""
    rows: list[tuple[int, int, int]] = []
    notes: dict[int, dict[str, object]] = {}
    number = start
    while not maker.finished:
        block = maker.make(number)
        table = np.frombuffer(block.rows, copy_format._WRITTEN)
        rows += [(int(row["serial"]), int(row["batch"]), int(row["store"])) for row in table]
        for note in block.notes:
            notes[note["place"]] = {
                **notes.get(note["place"], {}),
                **note,
                "first_serial": notes.get(note["place"], note)["first_serial"],
            }
        number += 1
    return rows, notes


def test_the_stores_are_filled_in_order_with_codes_that_are_not_skipped() -> None:
    counts = (700, 1, 1_500, 30)
    rows, notes = make_all(BlockMaker(batch_of(sum(counts)), allotments_of(*counts), RING, NO_RANGES))
    serials = np.array([serial for serial, _, _ in rows], dtype=np.int64)
    values = Ff1(RING.newest.key).encrypt(serials)
    assert not contains_word(values, "1").any()
    every = np.arange(1, serials[-1] + 1)
    assert len(serials) == int((~contains_word(Ff1(RING.newest.key).encrypt(every), "1")).sum())
    assert [store for _, _, store in rows] == [100 + place for place, count in enumerate(counts) for _ in range(count)]
    edges = [0, *accumulate(counts)]
    for place, (start, end) in enumerate(pairwise(edges)):
        text = "".join(to_text(int(value)) + "\n" for value in values[start:end])
        assert notes[place]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
        assert (notes[place]["first_serial"], notes[place]["last_serial"]) == (serials[start], serials[end - 1])


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_batch_taken_over_after_any_block_gets_the_same_codes_and_hashes(stop: int) -> None:
    counts = (700, 900, 1_500)
    whole_rows, whole_notes = make_all(BlockMaker(batch_of(sum(counts)), allotments_of(*counts), RING, NO_RANGES))
    first = BlockMaker(batch_of(sum(counts)), allotments_of(*counts), RING, NO_RANGES)
    notes = [note for number in range(stop) for note in first.make(number).notes]
    firsts: dict[int, int] = {}
    for note in notes:
        firsts.setdefault(note["place"], note["first_serial"])
    resumed = batch_of(sum(counts), loaded=first.made, next_block=stop)
    second = BlockMaker(resumed, allotments_of(*counts, first_serials=firsts), RING, NO_RANGES)
    second.catch_up()
    rows, later = make_all(second, stop)
    assert rows == whole_rows[first.made :]
    assert all(later[place]["sha256"] == whole_notes[place]["sha256"] for place in later)


def test_a_range_that_is_too_narrow_fails_with_a_sentence() -> None:
    maker = BlockMaker(batch_of(1_000, width=1_000), allotments_of(1_000), RING, NO_RANGES)
    with pytest.raises(CannotMake, match="reserved range ends"):
        make_all(maker)


def test_a_serial_whose_text_an_older_key_claims_is_skipped() -> None:
    old, new = CodeKey("k0", bytes(32)), CodeKey("k1", bytes(range(32)))
    serials = np.arange(1, 1_001, dtype=np.int64)
    claimed = Ff1(old.key).decrypt(Ff1(new.key).encrypt(serials[41:42]))
    ranges = ReservedRanges([ReservedRange(key_id="k0", first=int(claimed[0]), last=int(claimed[0]), words="none")])
    batch = batch_of(500)
    rows, _ = make_all(BlockMaker(batch, allotments_of(500), KeyRing((old, new)), ranges))
    plain, _ = make_all(BlockMaker(batch, allotments_of(500), KeyRing((old, new)), NO_RANGES))
    assert 42 in {serial for serial, _, _ in plain}
    assert {serial for serial, _, _ in plain} - {serial for serial, _, _ in rows} == {42}
