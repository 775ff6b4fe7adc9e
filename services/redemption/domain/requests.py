"""A request as it was read from the log, with what its code led to before any database was asked."""

from datetime import datetime
from enum import StrEnum

import msgspec

from shared.contracts.codegen import Batch
from shared.contracts.game_platforms import RedeemRequest, ReverseRequest
from shared.contracts.redemption import Source


class CodeState(StrEnum):
    """What reading a code's text came to."""

    ABSENT = "absent"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    ISSUED = "issued"


class CodeReading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`serial`, `batch` and `store_id` are there for an issued code alone. The whole text is not kept."""

    state: CodeState
    hint: str | None = None
    serial: int | None = None
    batch: Batch | None = None
    store_id: str | None = None


ABSENT = CodeReading(state=CodeState.ABSENT)
MALFORMED = CodeReading(state=CodeState.MALFORMED)


class Received(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request that could be understood. `received_at` is when the broker appended it (rule 20)."""

    request: RedeemRequest | ReverseRequest
    reading: CodeReading
    source: Source
    received_at: datetime
    received_milliseconds: int
    key: bytes | None
