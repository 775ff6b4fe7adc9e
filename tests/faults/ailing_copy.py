"""A copy of the redemption service that falls ill at a chosen step: `python -m tests.faults.ailing_copy`.

`AILMENT=die:after_write:3` kills the process with SIGKILL the third time that it passes the step `after_write`;
`fail:…` raises there, every so many times, what a broken connection would raise. `GROUP=own` makes the copy a group of its own,
so that it owns every partition besides whoever else does. `DELIVERY_SECONDS`: how long it waits for Kafka to take its records.
The service's code has no part in this: its parts are wrapped here.
"""

import functools
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any, Final

from services.redemption import app, consumer
from services.redemption.handlers import partition_loop, taking_over
from services.redemption.handlers.deciding import Deciding
from services.redemption.store.transactions import LedgerTransaction
from shared.kafka import publishing
from shared.kafka.publishing import Publisher
from shared.kafka.reading import PartitionReader

Wrapped = Callable[..., Awaitable[Any]]

PLACES: Final[dict[str, tuple[Any, str]]] = {
    "fetch": (PartitionReader, "fetch"),
    "republish": (taking_over, "publish_outcomes"),
    "dead_letters": (partition_loop, "publish_dead_letters"),
    "decide": (Deciding, "decide"),
    "facts": (LedgerTransaction, "read_facts"),
    "write": (LedgerTransaction, "write"),
    "chunk": (Publisher, "_send_chunk"),
    "publish": (partition_loop, "publish_outcomes"),
}
"""The steps of the loop, as the parts of the service that take them. `write` commits, unless counters were locked before it."""

STEPS: Final = ("before_republish", "before_dead_letters", "before_decide", *(f"after_{place}" for place in PLACES))
"""Before a step is after the one above it, but for these."""


def install(ailment: str) -> None:
    """Wraps the part that takes the step."""
    kind, step, often = ailment.split(":")
    when, _, place = step.partition("_")
    owner, name = PLACES[place]
    setattr(owner, name, _ailing(getattr(owner, name), kind, when, int(often)))


def _ailing(healthy: Wrapped, kind: str, when: str, often: int) -> Wrapped:
    passed = 0

    def pass_step() -> None:
        nonlocal passed
        passed += 1
        if kind == "die" and passed == often:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "fail" and passed % often == 0:
            raise ConnectionResetError("the answer got lost")

    @functools.wraps(healthy)
    async def ailing(*arguments: Any, **options: Any) -> Any:
        if when == "before":
            pass_step()
        answer = await healthy(*arguments, **options)
        if when == "after":
            pass_step()
        return answer

    return ailing


if __name__ == "__main__":
    publishing.BATCH_BYTES = int(os.environ.get("BATCH_BYTES", publishing.BATCH_BYTES))  # type: ignore[misc]
    if os.environ.get("DELIVERY_SECONDS"):
        seconds = float(os.environ["DELIVERY_SECONDS"])
        vars(app)["Publisher"] = functools.partial(Publisher, delivery_timeout_seconds=seconds)
    if os.environ.get("AILMENT"):
        install(os.environ["AILMENT"])
    if os.environ.get("GROUP") == "own":
        vars(consumer)["REDEMPTION_GROUP"] += f".{os.getpid()}"
    app.main()
