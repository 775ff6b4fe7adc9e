"""A record as it is read, and as it is written."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

Headers = Sequence[tuple[str, bytes]]


class Record(Protocol):
    """What aiokafka hands out, untouched (a copy of each would cost more than its decoding). `timestamp` in milliseconds."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def timestamp_type(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class NewRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to be written. The broker or the client adds the timestamp."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
