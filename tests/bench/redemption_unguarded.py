"""The same service without what makes it exactly-once: no position in the ledger, no outbox. It must never be run for real.

`python -m tests.bench.redemption_unguarded`, on a ledger whose `move_place` is the one below.
"""

from services.redemption import app
from services.redemption.handlers import deciding

MOVES_NOTHING = """
CREATE OR REPLACE FUNCTION move_place(
    of_partition integer, at_version bigint, moved_to bigint, stored bytea, key_hash bigint, key_timestamp bigint, source jsonb
) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END'
"""

if __name__ == "__main__":
    vars(deciding)["compress"] = lambda stored: None
    app.main()
