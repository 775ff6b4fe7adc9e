"""Voids: which serials one covers, cut around those that are redeemed or void already."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from shared.contracts.codegen import VoidRange
from shared.contracts.game_platforms import Moment

RANGES_A_RECORD: Final = 5_000
"""About half a megabyte of JSON; the topic allows four."""

CODES_LIMIT: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidTarget:
    """What is to be made void: exactly one of a batch, a store in a campaign, a range of serials, or single serials."""

    batch_id: str | None = None
    campaign_id: str | None = None
    store_id: str | None = None
    first_serial: int | None = None
    last_serial: int | None = None
    serials: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Serials of one store in one batch, both ends within. `codes`: how many of them were issued, None while not counted."""

    first: int
    last: int
    batch_id: str
    store_id: str
    codes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a void would do: the ranges that it covers, and what it leaves."""

    ranges: tuple[VoidRange, ...]
    redeemed: int
    already_void: int

    @property
    def outstanding(self) -> int:
        return sum(found.codes for found in self.ranges)


class VoidPreview(msgspec.Struct, frozen=True, kw_only=True):
    """How many codes would stop working, and how many stay as they are."""

    outstanding: int
    redeemed: int
    already_void: int
    as_of: Moment


class VoidView(msgspec.Struct, frozen=True, kw_only=True):
    """A void that was made."""

    id: str
    outstanding: int
    redeemed: int
    already_void: int
    reason: str
    voided_by: str
    voided_at: Moment


def cut_around(stretches: Iterable[Stretch], taken: Sequence[tuple[int, int]]) -> Iterator[Stretch]:
    """What is left of the stretches without the taken ranges. Both ascend; taken ranges do not overlap."""
    place = 0
    for stretch in stretches:
        start = stretch.first
        while place < len(taken) and taken[place][1] < stretch.first:
            place += 1
        at = place
        while at < len(taken) and taken[at][0] <= stretch.last:
            if taken[at][0] > start:
                yield _part(stretch, start, taken[at][0] - 1)
            start = max(start, taken[at][1] + 1)
            at += 1
        if start <= stretch.last:
            yield _part(stretch, start, stretch.last)


def joined(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    """Stretches without gaps that follow each other in one batch and store, as one. They ascend."""
    held: Stretch | None = None
    for stretch in stretches:
        if held is not None and _follows(held, stretch):
            held = replace(held, last=stretch.last, codes=stretch.last - held.first + 1)
            continue
        if held is not None:
            yield held
        held = stretch
    if held is not None:
        yield held


def parts_of(ranges: Sequence[VoidRange]) -> Iterator[tuple[VoidRange, ...]]:
    """The ranges, divided among records."""
    for start in range(0, len(ranges), RANGES_A_RECORD):
        yield tuple(ranges[start : start + RANGES_A_RECORD])


def _part(stretch: Stretch, first: int, last: int) -> Stretch:
    if (first, last) == (stretch.first, stretch.last):
        return stretch
    dense = stretch.codes == stretch.last - stretch.first + 1
    return replace(stretch, first=first, last=last, codes=last - first + 1 if dense else None)


def _follows(one: Stretch, other: Stretch) -> bool:
    same = (one.batch_id, one.store_id, one.last + 1) == (other.batch_id, other.store_id, other.first)
    return same and all(s.codes == s.last - s.first + 1 for s in (one, other))
