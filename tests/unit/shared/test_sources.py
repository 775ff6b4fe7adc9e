"""Reading outcomes exactly once in effect (`protocol.md`, rules 15 and 16)."""

import json
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.catalogue import EXAMPLES
from shared.contracts.codec import decoder
from shared.contracts.redemption import Outcome, Source
from shared.contracts.sources import SourceGap, after_mark

EXAMPLE = decoder(Outcome)((EXAMPLES / "outcome" / "v1" / "redeemed.json").read_bytes())


def source(offset: int, epoch: int = 1) -> Source:
    return Source(epoch=epoch, partition=3, offset=offset)


def outcomes(offsets: Sequence[int], epoch: int = 1) -> list[Outcome]:
    """Outcomes of these offsets, each naming the one before it as its predecessor."""
    sources = [source(offset, epoch) for offset in offsets]
    before = [None, *sources[:-1]]
    return [msgspec.structs.replace(EXAMPLE, source=s, prev=p) for s, p in zip(sources, before, strict=True)]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.data())
def test_repeated_earlier_ranges_change_nothing(steps: list[int], data: st.DataObject) -> None:
    offsets = [sum(steps[: index + 1]) for index in range(len(steps))]
    log = outcomes(offsets)
    repeated: list[Outcome] = []
    for index in range(len(log)):
        repeated.append(log[index])
        if data.draw(st.booleans()):
            start = data.draw(st.integers(0, index))
            repeated += log[start : index + 1]
    assert [outcome.source.offset for outcome in after_mark(None, repeated)] == offsets


def test_what_is_at_or_below_the_mark_is_dropped() -> None:
    log = outcomes([1, 4, 9])
    assert [outcome.source.offset for outcome in after_mark(source(4), log)] == [9]


def test_a_missing_outcome_stops_the_reader() -> None:
    log = outcomes([1, 4, 9, 12])
    with pytest.raises(SourceGap):
        list(after_mark(source(1), log[2:]))
    read = after_mark(None, [*log[:2], log[3]])
    assert [next(read).source.offset, next(read).source.offset] == [1, 4]
    with pytest.raises(SourceGap):
        next(read)


def test_a_later_epoch_is_above_every_offset_of_an_earlier_one() -> None:
    assert source(0, epoch=2) > source(10**9, epoch=1)
    assert json.loads(msgspec.json.encode(source(5))) == {"epoch": 1, "partition": 3, "offset": 5}
