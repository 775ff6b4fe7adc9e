"""What game platforms publish on `game.redemptions.v1`: requests to redeem a code, and to reverse a redemption."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from shared.contracts.codec import InvalidEvent

REQUEST_BYTES_LIMIT: Final = 64 * 1024
EVENT_ID_LENGTH: Final = 64
CODE_LENGTH_LIMIT: Final = 64
PLAYER_ID_LENGTH: Final = 128
PLATFORM_LENGTH: Final = 32
REGION_LENGTH: Final = 32

EventId = Annotated[str, Meta(min_length=1, max_length=EVENT_ID_LENGTH, description="Unique per platform")]
PlatformName = Annotated[str, Meta(min_length=1, max_length=PLATFORM_LENGTH)]
PlayerId = Annotated[str, Meta(min_length=1, max_length=PLAYER_ID_LENGTH)]
CodeText = Annotated[str, Meta(max_length=CODE_LENGTH_LIMIT, description="Nine characters, in any case, grouped or not")]
RegionName = Annotated[str, Meta(max_length=REGION_LENGTH)]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, UTC")]

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CODE_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
"""A code may hold a tab, which is read as a blank and dropped."""

_MAY_HOLD_CONTROL_CHARACTERS = re.compile(rb"[\\\x7f\xc2]")
"""JSON has those below U+0020 only as escapes; DEL and U+0080 to U+009F (C2 80 to C2 9F in UTF-8) may stand as they are."""


class ReversalReason(StrEnum):
    GRANT_FAILED = "grant_failed"
    REFUND = "refund"
    FRAUD = "fraud"
    MISTAKE = "mistake"
    TEST = "test"

    @property
    def reopens_code(self) -> bool:
        """Whether the code can be redeemed again afterwards."""
        return self in (ReversalReason.GRANT_FAILED, ReversalReason.MISTAKE, ReversalReason.TEST)

    @property
    def frees_player_slot(self) -> bool:
        """Whether the redemption no longer counts against the player's limit."""
        return self is not ReversalReason.FRAUD


class RedeemRequest(msgspec.Struct, frozen=True, kw_only=True, tag="redeem", tag_field="type", gc=False):
    """A player wants to redeem a code. `region` is where the game says the player is, if it says so."""

    event_id: EventId
    platform: PlatformName
    code: CodeText
    player_id: PlayerId
    occurred_at: Moment
    region: RegionName | None = None


class ReverseRequest(msgspec.Struct, frozen=True, kw_only=True, tag="reverse", tag_field="type", gc=False):
    """A platform takes back an accepted redemption. `code`, if given, must be the redemption's."""

    event_id: EventId
    platform: PlatformName
    reverses: EventId
    reason: ReversalReason
    occurred_at: Moment
    code: CodeText | None = None


Request = RedeemRequest | ReverseRequest

_decoder: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)


def parse_request(value: bytes | None) -> Request:
    """The request that a record's value holds, with its time in UTC.

    Raises InvalidEvent with one of the reasons EMPTY, TOO_LARGE, NOT_JSON, INVALID_FIELDS, CONTROL_CHARACTERS; its detail
    holds no field's value, so that it may be logged.
    """
    if not value:
        raise InvalidEvent("EMPTY", "the record has no value")
    if len(value) > REQUEST_BYTES_LIMIT:
        raise InvalidEvent("TOO_LARGE", f"the record has {len(value)} bytes; at most {REQUEST_BYTES_LIMIT} are allowed")
    try:
        request = _decoder.decode(value)
    except msgspec.ValidationError as error:
        raise InvalidEvent("INVALID_FIELDS", _without_values(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidEvent("NOT_JSON", "the value is not JSON in UTF-8") from None
    if _MAY_HOLD_CONTROL_CHARACTERS.search(value):
        _refuse_control_characters(request)
    if request.occurred_at.tzinfo is UTC:
        return request
    try:
        in_utc = request.occurred_at.astimezone(UTC)
    except OverflowError:
        raise InvalidEvent("INVALID_FIELDS", "occurred_at is outside the years 1 to 9999 in UTC") from None
    return msgspec.structs.replace(request, occurred_at=in_utc)


def _refuse_control_characters(request: Request) -> None:
    plain = [request.event_id, request.platform]
    match request:
        case RedeemRequest():
            plain += [request.player_id, request.region or ""]
        case ReverseRequest():
            plain.append(request.reverses)
    if _CONTROL_CHARACTERS.search("".join(plain)) or _CODE_CONTROL_CHARACTERS.search(request.code or ""):
        raise InvalidEvent("CONTROL_CHARACTERS", "a field holds a control character")


def _without_values(message: str) -> str:
    """msgspec quotes the offending value of an enum or tag; a dead letter's detail must not carry what a client sent."""
    return re.sub(r"'[^']*'", "'…'", message) if message.startswith("Invalid ") else message
