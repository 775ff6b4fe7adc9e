"""What cannot be run on one machine: many copies, partitions and Postgres servers, simulated from measured costs an event.

Time is divided in steps of 10 ms. Each step, requests arrive on partitions by their keys' hashes; a copy shares its core among
its partitions, a Postgres server its cores among those who ask it, Kafka its own; an event is decided when the worker's, the
ledger's and Kafka's microseconds for it were had. The costs are those of `docs/scale.md` and can be replaced by one's own.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

STEP_SECONDS: Final = 0.01
SIMULATED_SECONDS: Final = 4.0
KEYS: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Microseconds of a core for one event in batches of 2,000, with one worker beside its Postgres and its broker."""

    worker: float = 26.0
    ledger: float = 24.0
    kafka: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Machines: `copies` of redemption with a core each, `cells` of Postgres, brokers. Each campaign lives in one cell."""

    partitions: int
    copies: int
    cells: int = 1
    cores_a_ledger: int = 4
    brokers: int = 1
    cores_a_broker: int = 2
    campaigns: int = 40
    skew: float = 0.8
    """Exponent of the campaigns' sizes (Zipf): 0 is all alike."""


def shares_of_campaigns(layout: Layout) -> list[float]:
    """Each campaign's share of the traffic, largest first."""
    weights = [1 / (rank + 1) ** layout.skew for rank in range(layout.campaigns)]
    return [weight / sum(weights) for weight in weights]


def shares_of_cells(layout: Layout) -> list[float]:
    """Each cell's share, with campaigns put one by one, largest first, where there is most room."""
    cells = [0.0] * layout.cells
    for share in shares_of_campaigns(layout):
        cells[cells.index(min(cells))] += share
    return cells


def shares_of_partitions(layout: Layout, seed: int) -> list[float]:
    """Each partition's share of the keys: hashes are not even when keys are few."""
    choose = random.Random(seed)
    counts = [0] * layout.partitions
    for _ in range(KEYS):
        counts[choose.randrange(layout.partitions)] += 1
    return [count / KEYS for count in counts]


def decided_a_second(layout: Layout, offered_a_second: float, costs: Costs, seed: int = 1) -> float:
    """Events decided a second in the long run when so many are offered."""
    partitions, cells = shares_of_partitions(layout, seed), shares_of_cells(layout)
    waiting = [[0.0] * layout.cells for _ in partitions]
    decided = 0.0
    for _ in range(int(SIMULATED_SECONDS / STEP_SECONDS)):
        for partition, share in enumerate(partitions):
            for cell, part in enumerate(cells):
                waiting[partition][cell] += offered_a_second * STEP_SECONDS * share * part
        decided += _step(layout, waiting, costs)
    return decided / SIMULATED_SECONDS


def most_a_second(layout: Layout, costs: Costs | None = None) -> float:
    """Events decided a second when there is always more to do."""
    return decided_a_second(layout, 50e6, costs or Costs())


def _step(layout: Layout, waiting: list[list[float]], costs: Costs) -> float:
    """Lets every core work for one step; the scarcest of worker, ledger and Kafka decides how much gets done."""
    step = STEP_SECONDS * 1e6
    wanted = [_wanted(waiting, copy, layout, step / costs.worker) for copy in range(layout.copies)]
    by_cell = [sum(copy[cell] for copy in wanted) for cell in range(layout.cells)]
    ledger_room = layout.cores_a_ledger * step / costs.ledger
    kafka_room = layout.brokers * layout.cores_a_broker * step / costs.kafka
    fits = [min(1.0, ledger_room / want) if want else 1.0 for want in by_cell]
    total = sum(want * fit for want, fit in zip(by_cell, fits, strict=True))
    kafka_fit = min(1.0, kafka_room / total) if total else 1.0
    for copy in range(layout.copies):
        _take(waiting, copy, layout, [wanted[copy][c] * fits[c] * kafka_fit for c in range(layout.cells)])
    return total * kafka_fit


def _own(waiting: Sequence[list[float]], copy: int, copies: int) -> list[list[float]]:
    return [waiting[partition] for partition in range(copy, len(waiting), copies)]


def _wanted(waiting: list[list[float]], copy: int, layout: Layout, room: float) -> list[float]:
    sums = [sum(column) for column in zip(*_own(waiting, copy, layout.copies), strict=True)] or [0.0] * layout.cells
    whole = sum(sums)
    return [part * min(1.0, room / whole) for part in sums] if whole else sums


def _take(waiting: list[list[float]], copy: int, layout: Layout, taken: list[float]) -> None:
    own = _own(waiting, copy, layout.copies)
    for cell, amount in enumerate(taken):
        whole = sum(partition[cell] for partition in own)
        if whole:
            for partition in own:
                partition[cell] *= 1 - amount / whole


LAYOUTS: Final = {
    "1 copy, 1 core of Postgres": Layout(partitions=6, copies=1, cores_a_ledger=1),
    "2 copies, 2 cores": Layout(partitions=6, copies=2, cores_a_ledger=2),
    "4 copies, 4 cores": Layout(partitions=12, copies=4),
    "8 copies, 8 cores": Layout(partitions=24, copies=8, cores_a_ledger=8, brokers=3),
    "24 copies, 8 cores": Layout(partitions=24, copies=24, cores_a_ledger=8, brokers=3),
    "24 copies, 3 cells of 8": Layout(partitions=48, copies=24, cells=3, cores_a_ledger=8, brokers=3),
    "48 copies, 6 cells of 8": Layout(partitions=96, copies=48, cells=6, cores_a_ledger=8, brokers=6),
    "the same, one campaign of half": Layout(partitions=96, copies=48, cells=6, cores_a_ledger=8, brokers=6, skew=1.8),
    "7 copies on 6 partitions": Layout(partitions=6, copies=7, cores_a_ledger=8),
}


def run() -> dict[str, Any]:
    """Decided a second at the most, by layout."""
    return {name: round(most_a_second(layout), -2) for name, layout in LAYOUTS.items()}
