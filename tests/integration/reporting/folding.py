"""Folding a history into a database, in the order and the portions that a test wants."""

import random
from zoneinfo import ZoneInfo

from services.reporting.domain.folding import fold
from services.reporting.store.folding import FoldStore, Place
from services.reporting.store.reference import ReferenceStore
from shared.contracts.redemption import Outcome
from shared.contracts.topics import OUTCOMES
from tests.unit.reporting.history import ZONE, History


async def keep_reference(store: ReferenceStore, history: History) -> None:
    """Takes campaigns, stores and batches (voids are the test's to time)."""
    await store.keep_stores(history.stores)
    await store.keep_campaigns([history.campaign])
    await store.keep_batches(history.batches)


async def fold_outcomes(store: FoldStore, partition: int, outcomes: list[Outcome], zone: ZoneInfo = ZONE) -> None:
    """Folds the next outcomes of a partition, as the consumer would after dropping what is not above the mark."""
    place = await store.place(OUTCOMES.name, partition)
    after = Place(next_offset=place.next_offset + len(outcomes), mark=outcomes[-1].source)
    await store.fold(OUTCOMES.name, partition, expected=place, after=after, folded=fold(outcomes, lambda _: zone))


async def fold_at_random(store: FoldStore, reference: ReferenceStore, history: History, seed: int) -> None:
    """Folds all partitions in random portions in any order between them, voids arriving at random in between."""
    chance = random.Random(seed)
    left = [list(partition) for partition in history.partitions]
    voids = list(history.voids)
    while any(left) or voids:
        if voids and chance.random() < 0.2:
            await reference.keep_voids([voids.pop(0)])
        busy = [number for number, outcomes in enumerate(left) if outcomes]
        if busy:
            partition = chance.choice(busy)
            size = chance.randint(1, 25)
            portion, left[partition] = left[partition][:size], left[partition][size:]
            await fold_outcomes(store, partition, portion)
