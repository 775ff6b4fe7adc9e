"""Lists as text arguments: asyncpg checks arrays element by element in Python, which costs more than the insert."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

SEPARATOR: Final = "\x1f"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def texts(values: Iterable[str]) -> str:
    """Strings for `string_to_array(…, E'\\x1f')`. Requests with control characters were refused, so none holds U+001F."""
    return SEPARATOR.join(values)


def numbers(values: Iterable[object]) -> str:
    """An array literal of what needs no quoting: numbers, booleans, UUIDs."""
    return "{" + ",".join(map(str, values)) + "}"


def numbers_or_none(values: Iterable[object]) -> str:
    """As `numbers`; None is NULL."""
    return numbers("NULL" if value is None else value for value in values)


def microseconds(moment: datetime) -> int:
    """Since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND
