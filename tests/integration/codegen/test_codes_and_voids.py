"""Marks from the outcomes topic, the story of a code, voids."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from services.codegen.app import rebuild_register_marks
from shared.contracts.codec import encode
from shared.contracts.codegen import Void
from shared.contracts.redemption import Outcome, OutcomeName, Source, public_of, type_of
from shared.contracts.topics import OUTCOMES, VOIDS
from shared.environment import KafkaConnection
from shared.kafka.inspecting import LogInspector
from shared.kafka.publishing import Publisher
from shared.kafka.records import NewRecord
from tests.integration.codegen.conftest import Codegen, Start
from tests.support.polling import poll_until

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def outcome(
    serial: int, offset: int, *, name: OutcomeName = OutcomeName.REDEEMED, prev: int | None = None, **more: Any
) -> Outcome:
    values: dict[str, Any] = {
        "event_id": f"e-{offset}",
        "redemption_id": f"r-{serial}",
        "player_id": "p-1",
        "source": Source(epoch=1, partition=0, offset=offset),
        "prev": None if prev is None else Source(epoch=1, partition=0, offset=prev),
        **more,
    }
    return Outcome(
        type=type_of(name), platform="zork", outcome=name, public=public_of(name), retryable=False, retry_after=None,
        duplicate=False, serial=serial, code_hint="3VE", campaign_id="spring", batch_id="b", store_id="s", store_region=None,
        occurred_at=NOW, received_at=NOW, decided_at=NOW, **values,
    )  # fmt: skip


async def publish(kafka: KafkaConnection, outcomes: Sequence[Outcome]) -> None:
    async with Publisher(kafka) as publisher:
        await publisher.publish_batch(OUTCOMES.name, 0, [NewRecord(b"k", encode(o)) for o in outcomes])


async def read_voids(kafka: KafkaConnection) -> list[Void]:
    async with LogInspector(kafka) as inspector:
        records = [record async for record in inspector.read(VOIDS.name, 0, 0)]
    return [msgspec.json.decode(record.value or b"", type=Void) for record in records]


@pytest.fixture
async def batch(codegen: Codegen) -> Any:
    await codegen.make_campaign()
    await codegen.make_stores(2)
    return await codegen.made({"campaign_id": "spring", "count_per_store": 100, "stores": "all"})


async def test_a_code_tells_its_whole_story(codegen: Codegen, batch: Any, kafka: KafkaConnection) -> None:
    codes = await codegen.codes(batch["id"])
    text, serial, store = codes[3]
    fresh = (await codegen.call("GET", f"/v1/codes/{text.lower()}")).json
    assert (fresh["serial"], fresh["store_id"], fresh["state"], fresh["redemption"]) == (serial, store, "issued", None)
    assert fresh["code_hint"] == text[:3] + "••••••"
    reversal = outcome(serial, 2, name=OutcomeName.REVERSED, prev=1, reverses="e-1", reason="mistake", redeemed_occurred_at=NOW)
    again = outcome(serial, 3, prev=2, redemption_id="r-again")
    await publish(kafka, [outcome(serial, 1), reversal, again])
    story = (await codegen.call("GET", f"/v1/codes?serial={serial}")).json
    assert (story["state"], story["redemption"]["redemption_id"]) == ("redeemed", "r-again")
    assert [(r["redemption_id"], r["reversal_reason"]) for r in story["history"]] == [
        (f"r-{serial}", "mistake"),
        ("r-again", None),
    ]
    assert story["as_of"] > "2026"


async def test_a_code_that_was_never_issued_is_not_there(codegen: Codegen, batch: Any) -> None:
    assert (await codegen.call("GET", "/v1/codes/000-000-000")).status == 404
    assert (await codegen.call("GET", "/v1/codes/hello")).status == 422
    assert (await codegen.call("GET", f"/v1/codes?serial={batch['last_serial'] + 1}")).status == 404
    assert (await codegen.call("GET", "/v1/codes?serial=0")).status == 422


async def test_every_code_of_a_list_that_is_none_is_named(codegen: Codegen, batch: Any) -> None:
    good = (await codegen.codes(batch["id"]))[0][0]

    async def named(*codes: str) -> set[str]:
        reply = await codegen.call("POST", "/v1/voids/preview", {"codes": list(codes), "reason": "stolen"})
        assert (reply.status, good in reply.text) == (422, False)
        return set(reply.errors())

    assert await named("hello") == {"codes.0"}
    assert await named("hello", good, "000-000-00") == {"codes.0", "codes.2"}
    assert await named(good, "000-000-000", good, "000-000-001") == {"codes.1", "codes.3"}


async def test_outcomes_that_are_repeated_change_nothing(codegen: Codegen, batch: Any, kafka: KafkaConnection) -> None:
    first = [outcome(serial, serial, prev=serial - 1 or None) for serial in range(1, 11)]
    await publish(kafka, first)
    await publish(kafka, [*first[4:], outcome(11, 11, prev=10)])
    preview = (await codegen.call("POST", "/v1/voids/preview", {"batch_id": batch["id"]})).json
    assert (preview["outstanding"], preview["redeemed"], preview["already_void"]) == (189, 11, 0)


async def test_a_gap_in_the_outcomes_stops_the_partition_and_says_what_to_do(
    codegen: Codegen, batch: Any, kafka: KafkaConnection
) -> None:
    await publish(kafka, [outcome(1, 1), outcome(3, 3, prev=2)])
    problem = await poll_until(lambda: codegen.service.readiness.problems().get("outcomes"), what="the partition stopping")
    assert problem is not None
    assert "rebuild-register-marks" in problem


async def test_marks_can_be_read_again_from_the_beginning(codegen: Codegen, batch: Any, kafka: KafkaConnection) -> None:
    await publish(kafka, [outcome(1, 1), outcome(2, 2, prev=1)])
    assert (await codegen.call("GET", "/v1/codes?serial=1")).json["state"] == "redeemed"
    await rebuild_register_marks(codegen.settings)
    await publish(kafka, [outcome(3, 3, prev=2)])
    for serial in (1, 2, 3):
        assert (await codegen.call("GET", f"/v1/codes?serial={serial}")).json["state"] == "redeemed"


async def test_a_void_is_previewed_confirmed_and_published(codegen: Codegen, batch: Any, kafka: KafkaConnection) -> None:
    await publish(kafka, [outcome(5, 1), outcome(7, 2, prev=1)])
    target = {"campaign_id": "spring", "store_id": "s-00001", "reason": "stolen box"}
    preview = (await codegen.call("POST", "/v1/voids/preview", target)).json
    assert (preview["outstanding"], preview["redeemed"]) == (98, 2)
    wrong = await codegen.call("POST", "/v1/voids", {**target, "confirm_outstanding": 97})
    assert wrong.status == 409
    reply = await codegen.call("POST", "/v1/voids", {**target, "confirm_outstanding": 98})
    assert (reply.status, reply.json["outstanding"]) == (201, 98)
    (void,) = await read_voids(kafka)
    assert (void.id, void.reason, sum(r.codes for r in void.ranges)) == (reply.json["id"], "stolen box", 98)
    covered = {serial for r in void.ranges for serial in range(r.first, r.last + 1)}
    assert {5, 7} & covered == set()
    assert (await codegen.call("GET", "/v1/codes?serial=1")).json["void"]["reason"] == "stolen box"
    assert (await codegen.call("GET", "/v1/codes?serial=1")).json["state"] == "void"
    whole = (await codegen.call("POST", "/v1/voids/preview", {"batch_id": batch["id"]})).json
    assert (whole["outstanding"], whole["redeemed"], whole["already_void"]) == (100, 2, 98)
    again = await codegen.call("POST", "/v1/voids", {**target, "confirm_outstanding": 0})
    assert again.status == 409


async def test_codes_and_serial_ranges_can_be_made_void(codegen: Codegen, batch: Any, kafka: KafkaConnection) -> None:
    codes = await codegen.codes(batch["id"])
    chosen = [codes[index] for index in (10, 11, 12, 150)]
    body = {"codes": [text for text, _, _ in chosen], "reason": "misprint", "confirm_outstanding": 4}
    assert (await codegen.call("POST", "/v1/voids", body)).status == 201
    (void,) = await read_voids(kafka)
    assert sorted(s for r in void.ranges for s in range(r.first, r.last + 1)) == [serial for _, serial, _ in chosen]
    span = {"first_serial": codes[5][1], "last_serial": codes[20][1]}
    preview = (await codegen.call("POST", "/v1/voids/preview", span)).json
    assert (preview["outstanding"], preview["already_void"]) == (13, 3)
    assert (await codegen.call("POST", "/v1/voids", {**span, "reason": "x", "confirm_outstanding": 13})).status == 201
    ranges = sorted((r.first, r.last) for void in await read_voids(kafka) for r in void.ranges)
    assert all(one[1] < other[0] for one, other in pairwise(ranges)), "ranges never overlap"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "(body)"),
        ({"batch_id": "b", "codes": ["x"]}, "(body)"),
        ({"campaign_id": "spring"}, "(body)"),
        ({"first_serial": 5, "last_serial": 4}, "(body)"),
        ({"batch_id": "b-none"}, "batch_id"),
        ({"campaign_id": "spring", "store_id": "nowhere"}, "store_id"),
        ({"codes": ["000000000"]}, "codes.0"),
        ({"codes": ["000000000", "hello"]}, "codes.1"),
    ],
)
async def test_a_wrong_target_is_refused_by_field(codegen: Codegen, batch: Any, body: Any, field: str) -> None:
    reply = await codegen.call("POST", "/v1/voids/preview", body)
    assert (reply.status, list(reply.errors())) == (422, [field])


async def test_a_batch_that_is_not_ready_cannot_be_made_void(codegen: Codegen, start: Start, batch: Any) -> None:
    ordered = await codegen.order({"campaign_id": "spring", "count_per_store": 5, "stores": "all"}, "key-2")
    await codegen.until(ordered["id"], "ready")
    await codegen.call("POST", f"/v1/batches/{ordered['id']}/cancel")
    reply = await codegen.call("POST", "/v1/voids/preview", {"batch_id": ordered["id"]})
    assert reply.status == 409
