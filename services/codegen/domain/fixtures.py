"""What a dump holds of codegen: a file for each kind, a JSON object a line. Codes' texts and keys are in none of them."""

from collections.abc import Iterable, Sequence, Set
from itertools import pairwise
from typing import Any, Final

import msgspec

from services.codegen.domain.batches import LOADED
from services.codegen.domain.campaigns import CampaignDraft, new_campaign
from services.codegen.domain.refusals import Refused, Wrong
from services.codegen.domain.stores import checked_stores
from shared.codes.key_ring import KeyRing
from shared.contracts.codegen import BatchState, Campaign, CampaignLimits, CampaignState, Identifier, Store, VoidRange
from shared.contracts.game_platforms import Moment

CAMPAIGNS_FILE: Final = "campaigns.jsonl"
STORES_FILE: Final = "stores.jsonl"
SERIALS_FILE: Final = "serials.jsonl"
BATCHES_FILE: Final = "batches.jsonl"
ORDERS_FILE: Final = "orders.jsonl"
VOIDS_FILE: Final = "voids.jsonl"
REGISTER_FOLDER: Final = "register"
REGISTER_HEAD: Final = b"serial,store_id\n"


class BadFixtures(Refused):
    """The dump cannot be loaded. The text says which file and why; nothing was stored."""


class CampaignFixture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A campaign without its state, which follows from the clock."""

    id: Identifier
    name: str
    starts_at: Moment
    ends_at: Moment
    time_zone: str
    games: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    limits: CampaignLimits = CampaignLimits()
    paused: bool = False
    archived: bool = False
    created_at: Moment
    updated_at: Moment
    revision: int = 1


class AllotmentFixture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A store's codes in a batch. Serials and hash are left out until the batch is made."""

    store_id: str
    count: int
    first_serial: int | None = None
    last_serial: int | None = None
    sha256: str | None = None


class BatchFixture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch with its range and allotments. One that was being made is written as queued: it is made from its beginning."""

    id: Identifier
    campaign_id: str
    state: BatchState
    count: int
    key_id: str
    key_check: str
    words: str
    first_serial: int
    last_serial: int
    own_partition: bool
    publish_when_ready: bool
    paused: bool
    revision: int
    error: str | None
    created_by: str
    created_at: Moment
    started_at: Moment | None
    loaded_at: Moment | None
    ready_at: Moment | None
    published_at: Moment | None
    allotments: tuple[AllotmentFixture, ...]

    @property
    def is_loaded(self) -> bool:
        return self.state in LOADED


class OrderFixture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch to be made anew where it is loaded: with other codes, under the newest key there."""

    campaign_id: str
    allotments: tuple[AllotmentFixture, ...]
    publish: bool
    paused: bool = False


class VoidFixture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A void with its ranges, record by record."""

    id: Identifier
    reason: str
    target: dict[str, Any]
    outstanding: int
    voided_by: str
    voided_at: Moment
    parts: tuple[tuple[VoidRange, ...], ...]


class SerialsFixture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of serials that small batches share and the next one free in it; without an end: where new ranges begin."""

    first_serial: int
    last_serial: int | None
    next_serial: int


def campaign_of(fixture: CampaignFixture) -> Campaign:
    """The campaign, checked as one that is made by hand. Raises BadFixtures."""
    draft = CampaignDraft(
        id=fixture.id,
        name=fixture.name,
        starts_at=fixture.starts_at.isoformat(),
        ends_at=fixture.ends_at.isoformat(),
        time_zone=fixture.time_zone,
        games=fixture.games,
        regions=fixture.regions,
        limits=fixture.limits,
    )
    try:
        new_campaign(draft, now=fixture.created_at)
    except Wrong as wrong:
        raise BadFixtures(f"{CAMPAIGNS_FILE}: campaign {fixture.id}: {wrong}") from None
    return Campaign(state=CampaignState.SCHEDULED, **msgspec.structs.asdict(fixture))


def fixture_of(campaign: Campaign) -> CampaignFixture:
    return CampaignFixture(**{name: getattr(campaign, name) for name in CampaignFixture.__struct_fields__})


def check_stores(stores: Sequence[Store]) -> None:
    """Raises BadFixtures for stores that could not have been put."""
    rows = [{k: v for k, v in msgspec.structs.asdict(store).items() if k != "revision"} for store in stores]
    try:
        checked_stores(rows)
    except Wrong as wrong:
        raise BadFixtures(f"{STORES_FILE}: {wrong}") from None


def check_ring(batches: Iterable[BatchFixture], ring: KeyRing) -> None:
    """Raises BadFixtures where the ring could not make the same codes: a key missing, another under its id, or another order.

    Keys reserve one after the other, so the ranges tell their age (rule 25).
    """
    wanted: dict[str, str] = {}
    for batch in sorted(batches, key=lambda batch: batch.first_serial):
        key = ring.by_id(batch.key_id)
        if key is None:
            raise BadFixtures(
                f"the batch {batch.id} was made with the key {batch.key_id}, which the key ring here does not have"
            )
        if key.check_value != batch.key_check:
            raise BadFixtures(
                f"the batch {batch.id} was made with another key {batch.key_id} than the one of the key ring here "
                f"(check value {batch.key_check}, not {key.check_value})"
            )
        wanted.setdefault(batch.key_id, batch.key_check)
    ages = [[key.id for key in ring.keys].index(key_id) for key_id in wanted]
    if ages != sorted(ages):
        raise BadFixtures(f"the key ring here has its keys in another order; the batches need {', then '.join(wanted)}")


def check_batches(
    batches: Sequence[BatchFixture], campaigns: Set[str], stores: Set[str], serials: Sequence[SerialsFixture]
) -> None:
    """Raises BadFixtures for a batch that does not fit: to the campaigns, the stores, its own count, or the serials."""
    for batch in batches:
        missing = sorted({allotment.store_id for allotment in batch.allotments} - stores)
        if batch.campaign_id not in campaigns or missing:
            what = f"the stores {', '.join(missing[:3])}" if missing else f"the campaign {batch.campaign_id}"
            raise BadFixtures(f"{BATCHES_FILE}: the batch {batch.id} needs {what}, which the dump does not have")
        if sum(allotment.count for allotment in batch.allotments) != batch.count:
            raise BadFixtures(f"{BATCHES_FILE}: the allotments of the batch {batch.id} do not come to its count")
        if not _has_place(batch, serials):
            raise BadFixtures(f"{BATCHES_FILE}: the serials of the batch {batch.id} are not in {SERIALS_FILE}")
    ordered = sorted(batches, key=lambda batch: batch.first_serial)
    for before, batch in pairwise(ordered):
        if batch.first_serial <= before.last_serial:
            raise BadFixtures(f"{BATCHES_FILE}: the serials of the batches {before.id} and {batch.id} overlap")


def _has_place(batch: BatchFixture, serials: Sequence[SerialsFixture]) -> bool:
    """A batch with a partition of its own lies before the serials that are free, another one in a shared stretch."""
    for stretch in serials:
        end = stretch.last_serial
        if end is None and batch.own_partition and batch.last_serial < stretch.next_serial:
            return True
        if end is not None and not batch.own_partition:
            within = stretch.first_serial <= batch.first_serial and batch.last_serial < stretch.next_serial <= end + 1
            if within:
                return True
    return False
