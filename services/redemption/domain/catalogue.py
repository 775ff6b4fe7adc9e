"""Campaigns, stores, batches and voids as last published, in memory, asked for every code.

A value with a lower revision than the one that is known is ignored, so records may come late, twice or in any order.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from shared.contracts.codegen import Batch, BatchState, Campaign, Store, Void


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """Campaigns whose redemptions are counted: those with a limit, and those that once had one.

    Stores are counted under the lock of their campaign's total, so a campaign in `by_store` is in `in_total` as well.
    """

    in_total: frozenset[str] = frozenset()
    by_player: frozenset[str] = frozenset()
    by_store: frozenset[str] = frozenset()

    def __or__(self, other: "Counting") -> "Counting":
        return Counting(
            in_total=self.in_total | other.in_total,
            by_player=self.by_player | other.by_player,
            by_store=self.by_store | other.by_store,
        )


class Catalogue:
    """What the reference topics say. Changed between decisions, never during one.

    `batches_version` grows with every batch, `version` with whatever may change what a code leads to.
    """

    def __init__(self) -> None:
        self._campaigns: dict[str, Campaign] = {}
        self._stores: dict[str, Store] = {}
        self._batches: dict[str, Batch] = {}
        self._allotment_starts: dict[str, list[int]] = {}
        self._void_ranges: set[tuple[int, int]] = set()
        self._void_starts: list[int] | None = None
        self._void_ends: list[int] = []
        self.batches_version = 0
        self.version = 0
        self._counting: Counting | None = None

    @property
    def batches(self) -> Mapping[str, Batch]:
        return self._batches

    def campaign(self, campaign_id: str) -> Campaign | None:
        return self._campaigns.get(campaign_id)

    def store(self, store_id: str) -> Store | None:
        return self._stores.get(store_id)

    def put_campaign(self, campaign: Campaign) -> None:
        known = self._campaigns.get(campaign.id)
        if known is None or campaign.revision >= known.revision:
            self._campaigns[campaign.id] = campaign
            self._counting = None
            self.version += 1

    @property
    def counting(self) -> Counting:
        """The campaigns whose limits need counts."""
        if self._counting is None:
            campaigns = self._campaigns.values()
            self._counting = Counting(
                in_total=frozenset(c.id for c in campaigns if (c.limits.total, c.limits.per_store) != (None, None)),
                by_player=frozenset(c.id for c in campaigns if c.limits.per_player is not None),
                by_store=frozenset(c.id for c in campaigns if c.limits.per_store is not None),
            )
        return self._counting

    def put_store(self, store: Store) -> None:
        known = self._stores.get(store.id)
        if known is None or store.revision >= known.revision:
            self._stores[store.id] = store

    def put_batch(self, batch: Batch) -> None:
        known = self._batches.get(batch.id)
        if known is None or batch.revision >= known.revision:
            self._batches[batch.id] = batch
            self._allotment_starts.pop(batch.id, None)
            self.batches_version += 1
            self.version += 1

    def put_void(self, void: Void) -> None:
        """A void may come as several records; their ranges add up and nothing takes one back."""
        self._void_ranges.update((r.first, r.last) for r in void.ranges)
        self._void_starts = None

    def store_id_of(self, batch: Batch, serial: int) -> str | None:
        """The store to which a serial of a published batch was allotted; None for one that nobody got."""
        if batch.state is not BatchState.PUBLISHED:
            return None
        starts = self._allotment_starts.get(batch.id)
        if starts is None:
            starts = self._allotment_starts[batch.id] = [allotment.first_serial for allotment in batch.allotments]
        place = bisect_right(starts, serial) - 1
        if place < 0 or serial > batch.allotments[place].last_serial:
            return None
        return batch.allotments[place].store_id

    def is_paused(self, read: Batch, store_id: str | None) -> bool:
        """Whether the batch, its campaign or the store is paused now, a moment after the code was read."""
        batch = self._batches[read.id]
        campaign = self._campaigns.get(batch.campaign_id)
        store = self._stores.get(store_id or "")
        return batch.paused or (campaign is not None and campaign.paused) or (store is not None and store.paused)

    def is_void(self, serial: int) -> bool:
        if self._void_starts is None:
            ranges = sorted(self._void_ranges)
            self._void_starts, self._void_ends = [first for first, _ in ranges], [last for _, last in ranges]
        place = bisect_right(self._void_starts, serial) - 1
        return place >= 0 and serial <= self._void_ends[place]
