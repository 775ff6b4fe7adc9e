"""The same service without what makes it exactly-once: no position in the ledger, no outbox. It must never be run for real.

`python -m tests.bench.redemption_unguarded`
"""

from typing import Any

from services.redemption import app
from services.redemption.handlers import deciding
from services.redemption.store.transactions import LedgerTransaction


async def moves_nothing(*_arguments: Any) -> None:
    """Where the position and the outbox would have been written."""


if __name__ == "__main__":
    setattr(LedgerTransaction, "move_place", moves_nothing)  # noqa: B010
    vars(deciding)["compress"] = lambda stored: None
    app.main()
