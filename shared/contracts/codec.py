"""Reading and writing event values: JSON in UTF-8, unknown fields ignored, times in RFC 3339 UTC."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

Event = TypeVar("Event")


class InvalidEvent(Exception):  # noqa: N818 (the field's own word: an invalid event becomes a dead letter)
    """A record's value that cannot be understood. `reason` is a short upper-case name, `detail` a sentence without codes."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def format_time(moment: datetime) -> str:
    """An aware moment as `2026-11-22T12:00:00.123456Z`; the fraction is left out when it is zero."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """The moment that an RFC 3339 text names, in UTC.

    Raises ValueError for what is no such text, for one without an offset, and for one outside the years 1 to 9999 in UTC.
    """
    moment: datetime = msgspec.convert(text, datetime)
    if moment.tzinfo is None:
        message = f"{text!r} has no offset from UTC; write it like 2026-11-22T12:00:00Z"
        raise ValueError(message)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        message = f"{text!r} is outside the years 1 to 9999 in UTC"
        raise ValueError(message) from None


def decoder(event: type[Event]) -> Callable[[bytes], Event]:
    """A function that reads one value of this event type, and raises InvalidEvent for anything else."""
    inner = msgspec.json.Decoder(event)

    def decode(value: bytes) -> Event:
        try:
            return inner.decode(value)
        except msgspec.ValidationError as error:
            raise InvalidEvent("INVALID_FIELDS", str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidEvent("NOT_JSON", str(error)) from None

    return decode


_encoder = msgspec.json.Encoder()


def encode(event: object) -> bytes:
    """The value's bytes, fields in the order in which the type declares them."""
    return _encoder.encode(event)
