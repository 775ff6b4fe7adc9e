"""What keeps a dump from being loaded, found before anything is stored."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.codegen.domain.fixtures import (
    AllotmentFixture,
    BadFixtures,
    BatchFixture,
    CampaignFixture,
    SerialsFixture,
    campaign_of,
    check_batches,
    check_ring,
    fixture_of,
)
from services.codegen.handlers.fixtures import read_dump
from shared.codes.key_ring import CodeKey, KeyRing
from shared.contracts.codegen import BatchState

NOW = datetime(2026, 11, 25, tzinfo=UTC)
OLD, NEW = CodeKey("k1", bytes(32)), CodeKey("k2", bytes([1] * 32))
FREE = SerialsFixture(first_serial=1_000_000, last_serial=None, next_serial=1_000_000)
SHARED = SerialsFixture(first_serial=1, last_serial=1000, next_serial=301)


def batch(batch_id: str = "b-1", *, key: CodeKey = OLD, first: int = 1, **changes: Any) -> BatchFixture:
    fixture = BatchFixture(
        id=batch_id,
        campaign_id="spring",
        state=BatchState.PUBLISHED,
        count=80,
        key_id=key.id,
        key_check=key.check_value,
        words="1",
        first_serial=first,
        last_serial=first + 99,
        own_partition=False,
        publish_when_ready=True,
        paused=False,
        revision=5,
        error=None,
        created_by="t-1",
        created_at=NOW,
        started_at=NOW,
        loaded_at=NOW,
        ready_at=NOW,
        published_at=NOW,
        allotments=(AllotmentFixture(store_id="s-1", count=80, first_serial=first, last_serial=first + 80, sha256="00"),),
    )
    return msgspec.structs.replace(fixture, **changes)


def check(*batches: BatchFixture) -> None:
    check_batches(batches, {"spring"}, {"s-1"}, [SHARED, FREE])


def test_batches_that_fit_are_taken() -> None:
    check(batch("b-1"), batch("b-2", first=101), batch("b-3", first=500_000, own_partition=True))
    check_ring([batch("b-1"), batch("b-2", first=101, key=NEW)], KeyRing((OLD, NEW)))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"campaign_id": "autumn"}, "needs the campaign autumn"),
        ({"allotments": (AllotmentFixture(store_id="s-9", count=80),)}, "needs the stores s-9"),
        ({"count": 81}, "do not come to its count"),
        ({"first_serial": 250, "last_serial": 349}, "are not in serials.jsonl"),
        ({"own_partition": True, "last_serial": 1_000_001}, "are not in serials.jsonl"),
    ],
)
def test_a_batch_that_does_not_fit_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadFixtures, match=sentence):
        check(batch(**changes))


def test_overlapping_ranges_are_refused() -> None:
    with pytest.raises(BadFixtures, match="b-1 and b-2 overlap"):
        check(batch("b-2", first=51), batch("b-1"))


def test_a_key_ring_that_would_make_other_codes_is_refused() -> None:
    with pytest.raises(BadFixtures, match="key ring here does not have"):
        check_ring([batch(key=NEW)], KeyRing((OLD,)))
    with pytest.raises(BadFixtures, match=f"check value {OLD.check_value}, not {CodeKey('k1', NEW.key).check_value}"):
        check_ring([batch()], KeyRing((CodeKey("k1", NEW.key),)))
    with pytest.raises(BadFixtures, match="need k1, then k2"):
        check_ring([batch("b-2", first=101, key=NEW), batch("b-1")], KeyRing((NEW, OLD)))


def test_a_campaign_comes_back_as_it_was_and_a_wrong_one_is_named() -> None:
    fixture = CampaignFixture(
        id="spring",
        name="Spring",
        starts_at=NOW,
        ends_at=NOW.replace(year=2027),
        time_zone="UTC",
        created_at=NOW,
        updated_at=NOW,
    )
    assert fixture_of(campaign_of(fixture)) == fixture
    with pytest.raises(BadFixtures, match="campaign spring: time_zone"):
        campaign_of(msgspec.structs.replace(fixture, time_zone="Mars/Olympus"))


def test_a_line_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "batches.jsonl").write_bytes(msgspec.json.encode(batch()) + b'\n{"id": "b-2"}\n')
    with pytest.raises(BadFixtures, match=r"batches.jsonl, line 2: Object missing required field"):
        read_dump(tmp_path, KeyRing((OLD,)))
