"""An independent look at what redemption has done: it reads the logs and the ledger, and knows nothing of the service's code.

For every request record: exactly one decision. Outcomes are complete, chained, and only ever repeated identically and as an
earlier range. No code is accepted twice unless it was opened again in between. Ledger and counters say the same as the
outcomes. No whole code is in any log.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.contracts.topics import OUTCOMES, REQUESTS
from shared.kafka.records import Record
from tests.integration.redemption.world import World

REOPENS = frozenset({"grant_failed", "mistake", "test"})

Outcome = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found to be right."""

    requests: int
    dead_letters: int
    accepted: int
    reversed: int
    repeated: int


async def check(world: World, *, logs: Iterable[Path] = (), codes: Iterable[str] = ()) -> Checked:
    """Raises AssertionError with the first thing that is wrong."""
    partitions = await world.inspector.partitions(REQUESTS.name)
    buried = Counter((int(h["origin_partition"]), int(h["origin_offset"])) for h in map(_headers, await world.dead_letters()))
    outcomes: list[Outcome] = []
    requests, repeated = 0, 0
    for partition in range(partitions):
        records = [r async for r in world.inspector.read(REQUESTS.name, partition, 0)]
        published = [r async for r in world.inspector.read(OUTCOMES.name, partition, 0)]
        distinct = _check_partition(partition, records, published, buried)
        outcomes += distinct
        requests += len(records)
        repeated += len(published) - len(distinct)
    accepted, taken_back = _check_codes(outcomes)
    await _check_ledger(world, accepted, taken_back)
    await _check_counters(world)
    _check_logs(logs, codes)
    return Checked(
        requests=requests, dead_letters=len(buried), accepted=len(accepted), reversed=len(taken_back), repeated=repeated
    )


def _check_partition(
    partition: int, records: Sequence[Record], published: Sequence[Record], buried: Counter[tuple[int, int]]
) -> list[Outcome]:
    distinct: dict[tuple[int, int], tuple[Outcome, bytes, Any]] = {}
    mark: tuple[int, int] | None = None
    for record in published:
        outcome = json.loads(record.value or b"")
        source = outcome["source"]["epoch"], outcome["source"]["offset"]
        assert outcome["source"]["partition"] == partition
        if mark is not None and source <= mark:
            assert source in distinct, f"partition {partition}: {source} comes after {mark} and was never there before"
            _, value, headers = distinct[source]
            assert (record.value, tuple(record.headers)) == (value, headers), f"{source} was repeated with other bytes"
            continue
        prev = outcome["prev"] and (outcome["prev"]["epoch"], outcome["prev"]["offset"])
        assert prev == mark, f"partition {partition}: {source} follows {prev}, but the last outcome was {mark}"
        distinct[source] = (outcome, record.value or b"", tuple(record.headers))
        mark = source
    latest = {offset: outcome for (_, offset), (outcome, _, _) in sorted(distinct.items(), key=lambda item: item[0])}
    for record in records:
        times = (record.offset in latest) + ((partition, record.offset) in buried)
        assert times == 1, f"partition {partition} offset {record.offset}: {times} decisions"
        if record.offset in latest:
            _check_answer(json.loads(record.value or b""), latest[record.offset])
    return [outcome for outcome, _, _ in distinct.values()]


def _check_answer(request: dict[str, Any], outcome: Outcome) -> None:
    assert outcome["event_id"] == request["event_id"]
    assert outcome["platform"] == request["platform"]
    kinds = {
        "redeem": ("redemption.accepted", "redemption.rejected"),
        "reverse": ("redemption.reversed", "redemption.rejected"),
    }
    assert outcome["type"] in kinds[request["type"]]


def _check_codes(outcomes: Sequence[Outcome]) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
    accepted: dict[str, Outcome] = {}
    taken_back: dict[str, Outcome] = {}
    for outcome in outcomes:
        if outcome["duplicate"]:
            continue
        kept = {"redemption.accepted": accepted, "redemption.reversed": taken_back}.get(outcome["type"])
        if kept is not None:
            assert outcome["redemption_id"] not in kept, f"{outcome['redemption_id']} was {outcome['type']} twice"
            kept[outcome["redemption_id"]] = outcome
    assert set(taken_back) <= set(accepted), "something was reversed that was never redeemed"
    standing: Counter[int] = Counter()
    events: Counter[tuple[str, str]] = Counter()
    for redemption, outcome in accepted.items():
        standing[outcome["serial"]] += redemption not in taken_back or taken_back[redemption]["reason"] not in REOPENS
        events[outcome["platform"], outcome["event_id"]] += 1
    assert not [serial for serial, count in standing.items() if count > 1], "a code was accepted twice"
    assert not [event for event, count in events.items() if count > 1], "an event was accepted twice"
    for outcome in outcomes:
        if outcome["duplicate"] and outcome["type"] != "redemption.reversed":
            assert outcome["redemption_id"] in accepted
    return accepted, taken_back


async def _check_ledger(world: World, accepted: dict[str, Outcome], taken_back: dict[str, Outcome]) -> None:
    rows = {str(row["redemption_id"]): row for row in await world.query("SELECT * FROM redemptions")}
    assert set(rows) == set(accepted), f"the ledger has {len(rows)} redemptions, the outcomes {len(accepted)}"
    for redemption, row in rows.items():
        outcome = accepted[redemption]
        for name in ("serial", "platform", "event_id", "player_id", "campaign_id", "batch_id", "store_id"):
            assert row[name] == outcome[name], f"{redemption}: {name} differs"
        source = {"epoch": row["source_epoch"], "partition": row["source_partition"], "offset": row["source_offset"]}
        assert source == outcome["source"]
    reversals = {str(row["redemption_id"]): row for row in await world.query("SELECT * FROM reversals")}
    assert set(reversals) == set(taken_back), f"the ledger has {len(reversals)} reversals, the outcomes {len(taken_back)}"
    generations: dict[int, list[int]] = defaultdict(list)
    for row in rows.values():
        generations[row["serial"]].append(row["generation"])
    assert all(sorted(found) == list(range(len(found))) for found in generations.values())


async def _check_counters(world: World) -> None:
    """Counted by joins of its own, next to what the loops have counted."""
    joined = "FROM redemptions r LEFT JOIN reversals v USING (redemption_id)"
    counted = await world.query(
        f"SELECT r.campaign_id, count(*) AS n {joined} WHERE v.reason IS NULL OR v.reason IN ('refund', 'fraud') GROUP BY 1"
    )
    kept = {row["campaign_id"]: row for row in await world.query("SELECT * FROM campaign_counters")}
    totals = {row["campaign_id"]: row["n"] for row in counted}
    assert {c: totals.get(c, 0) for c, r in kept.items() if r["counts_total"]} == {
        c: r["redeemed"] for c, r in kept.items() if r["counts_total"]
    }, "campaigns' counters differ from the ledger"
    assert set(totals) <= set(kept), "redemptions of a campaign without the row that is the gate for starting to count"
    for campaign in [campaign for campaign, row in kept.items() if row["counts_players"]]:
        players = await world.query(
            f"SELECT platform, player_id, count(*) AS n {joined} WHERE r.campaign_id = $1"
            " AND (v.reason IS NULL OR v.reason = 'fraud') GROUP BY 1, 2",
            campaign,
        )
        stored = await world.query(
            "SELECT platform, player_id, redeemed AS n FROM player_counters WHERE campaign_id = $1 AND redeemed <> 0", campaign
        )
        assert {(r["platform"], r["player_id"]): r["n"] for r in players} == {
            (r["platform"], r["player_id"]): r["n"] for r in stored
        }, "players' counters differ from the ledger"


def _check_logs(logs: Iterable[Path], codes: Iterable[str]) -> None:
    texts = [path.read_text(errors="replace") for path in logs]
    for code in codes:
        grouped = f"{code[:3]}-{code[3:6]}-{code[6:]}"
        assert not [text for text in texts if code in text or grouped in text], "a whole code is in a log"


def _headers(record: Record) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}
