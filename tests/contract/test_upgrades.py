"""Versions live side by side for a while: events of the last one are read by this one, and migrations only add."""

import re
from pathlib import Path

import msgspec
import pytest

from deploy.local.places import CHECKOUT
from shared.contracts.catalogue import EVENTS, Event

REQUIRED_IN_V1 = {
    "campaign": {"created_at", "ends_at", "id", "name", "revision", "starts_at", "state", "time_zone", "updated_at"},
    "store": {"id", "name", "revision"},
    "batch": {
        "allotments",
        "campaign_id",
        "count",
        "first_serial",
        "id",
        "key_check",
        "key_id",
        "last_serial",
        "revision",
        "state",
        "words",
    },
    "void": {"id", "ranges", "reason", "revision", "voided_at", "voided_by"},
    "token": {"id", "revision", "scopes", "sha256"},
    "redeem_request": {"code", "event_id", "occurred_at", "platform", "player_id"},
    "reverse_request": {"event_id", "occurred_at", "platform", "reason", "reverses"},
    "outcome": {
        "batch_id",
        "campaign_id",
        "code_hint",
        "decided_at",
        "duplicate",
        "event_id",
        "occurred_at",
        "outcome",
        "platform",
        "player_id",
        "prev",
        "public",
        "received_at",
        "redemption_id",
        "retry_after",
        "retryable",
        "serial",
        "source",
        "store_id",
        "store_region",
        "type",
    },
    "standing": {"as_of", "board", "campaign_id", "period", "position", "rank", "revision", "score", "store_id"},
}
"""What every producer has sent since the first version. A later field has a default: an older producer leaves it out."""

BEFORE_THE_FIRST_RELEASE = {"0002_attempts_by_partition.sql"}
"""Takes a default away that no released version relied on."""

MIGRATIONS = sorted((CHECKOUT / "services").glob("*/migrations/*.sql"))
TAKES_AWAY = re.compile(
    r"\bDROP\s+(TABLE|COLUMN|SCHEMA|VIEW)|\bRENAME\b|\bALTER\s+COLUMN\s+\w+\s+(TYPE|SET\s+DATA\s+TYPE|SET\s+NOT\s+NULL|DROP\s+DEFAULT)"
    r"|\bADD\s+COLUMN\s+(?!.*\bDEFAULT\b)[^,;]*\bNOT\s+NULL",
    re.IGNORECASE,
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_an_event_of_the_first_version_lacks_nothing_that_is_required(event: Event) -> None:
    required = {field.encode_name for field in msgspec.structs.fields(event.value) if field.required}
    assert required <= REQUIRED_IN_V1[event.name]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_what_the_first_version_reads_is_still_sent(event: Event) -> None:
    assert {field.encode_name for field in msgspec.structs.fields(event.value)} >= REQUIRED_IN_V1[event.name]


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_migration_takes_nothing_away_that_the_running_version_uses(path: Path) -> None:
    """One that contracts is named so, and goes with a version whose predecessor no longer uses what it takes away."""
    if path.name.startswith("0001_") or "_contract_" in path.name or path.name in BEFORE_THE_FIRST_RELEASE:
        return
    statements = re.sub(r"--[^\n]*", "", path.read_text())
    functions = re.sub(r"\$(\w*)\$.*?\$\1\$", "", statements, flags=re.DOTALL)
    assert not TAKES_AWAY.search(functions), f"{path.name} must only add: see docs/runbook.md, Upgrades"


@pytest.mark.parametrize(
    ("statement", "takes_away"),
    [
        ("ALTER TABLE t ADD COLUMN c text", False),
        ("ALTER TABLE t ADD COLUMN c integer NOT NULL DEFAULT 0", False),
        ("ALTER TABLE t ADD COLUMN c integer NOT NULL", True),
        ("ALTER TABLE t DROP COLUMN c", True),
        ("ALTER TABLE t RENAME COLUMN c TO d", True),
        ("ALTER TABLE t ALTER COLUMN c TYPE bigint", True),
        ("CREATE INDEX i ON t (c)", False),
    ],
)
def test_the_rule_knows_what_takes_away(statement: str, takes_away: bool) -> None:
    assert bool(TAKES_AWAY.search(statement)) is takes_away
