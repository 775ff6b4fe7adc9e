"""Which records are requests, and what a dead letter says of the others (`semantics.md`, row 1)."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.codec import InvalidEvent, parse_time
from shared.contracts.game_platforms import RedeemRequest, parse_request

REDEEM: dict[str, Any] = {
    "type": "redeem",
    "event_id": "zork-1",
    "platform": "zork",
    "code": "3VE3VGT2K",
    "player_id": "p-81",
    "occurred_at": "2026-11-22T12:00:00Z",
}
REVERSE: dict[str, Any] = {
    "type": "reverse",
    "event_id": "zork-2",
    "platform": "zork",
    "reverses": "zork-1",
    "reason": "refund",
    "occurred_at": "2026-11-22T12:00:00Z",
}


def value(request: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({name: held for name, held in {**request, **changes}.items() if held != "absent"}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"region": None},
        {"region": "US-CA"},
        {"occurred_at": "2026-11-22T14:00:00+02:00"},
        {"code": ""},
        {"code": "x" * 64},
        {"code": "3VE\t3VG T2K"},
        {"unknown": {"a": 1}},
        {"event_id": "x" * 64, "player_id": "é" * 128},
    ],
)
def test_a_request_is_read_with_its_time_in_utc(changes: dict[str, Any]) -> None:
    request = parse_request(value(REDEEM, **changes))
    assert isinstance(request, RedeemRequest)
    assert request.occurred_at == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert request.occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "EMPTY"),
        (b"", "EMPTY"),
        (b"{", "NOT_JSON"),
        (b"\xff\xfe", "NOT_JSON"),
        (b"[]", "INVALID_FIELDS"),
        (b"null", "INVALID_FIELDS"),
        (b'{"type": "refund"}', "INVALID_FIELDS"),
        (value(REDEEM, type="absent"), "INVALID_FIELDS"),
        (value(REDEEM, event_id="absent"), "INVALID_FIELDS"),
        (value(REDEEM, event_id=""), "INVALID_FIELDS"),
        (value(REDEEM, event_id="x" * 65), "INVALID_FIELDS"),
        (value(REDEEM, event_id=7), "INVALID_FIELDS"),
        (value(REDEEM, code="x" * 65), "INVALID_FIELDS"),
        (value(REDEEM, player_id="x" * 129), "INVALID_FIELDS"),
        (value(REDEEM, platform="x" * 33), "INVALID_FIELDS"),
        (value(REDEEM, region="x" * 33), "INVALID_FIELDS"),
        (value(REDEEM, occurred_at="yesterday"), "INVALID_FIELDS"),
        (value(REDEEM, occurred_at="2026-11-22T12:00:00"), "INVALID_FIELDS"),
        (value(REDEEM, occurred_at="0001-01-01T00:00:00+14:00"), "INVALID_FIELDS"),
        (value(REDEEM, player_id="p\n1"), "CONTROL_CHARACTERS"),
        (value(REDEEM, code="3VE\x003VGT2K"), "CONTROL_CHARACTERS"),
        (value(REVERSE, reverses="\x7f"), "CONTROL_CHARACTERS"),
        (value(REVERSE, reason="because"), "INVALID_FIELDS"),
        (value(REDEEM, padding="x" * 66_000), "TOO_LARGE"),
    ],
)
def test_what_is_no_request_is_refused_with_its_reason(raw: bytes | None, reason: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        parse_request(raw)
    assert refused.value.reason == reason


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    for raw in (value(REVERSE, reason="3VE3VGT2K"), value(REDEEM, type="3VE3VGT2K"), value(REDEEM, occurred_at="3VE3VGT2K")):
        with pytest.raises(InvalidEvent) as refused:
            parse_request(raw)
        assert "3VE3VGT2K" not in str(refused.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_read_or_refused(raw: bytes) -> None:
    try:
        parse_request(raw)
    except InvalidEvent as refused:
        assert refused.reason in {"EMPTY", "NOT_JSON", "INVALID_FIELDS", "CONTROL_CHARACTERS"}  # noqa: PT017


@pytest.mark.parametrize(
    "text",
    ["1790000000", "2026-11-22", "2026-11-22T12:00:00", "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"],
)
def test_what_is_no_moment_in_rfc_3339_is_a_mistake_of_whoever_wrote_it(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)
