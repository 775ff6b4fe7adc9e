"""CSV as every service answers it (`semantics.md`): excel dialect, `Time UTC` on top, harmless in a spreadsheet, streamed."""

import csv
import io
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from aiohttp import web
from isal import isal_zlib

from shared.contracts.codec import format_time

_DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r")
_NOT_AT_ALL: Final = re.compile(r"\s*q=0(\.0*)?\s*")
BUFFER_BYTES: Final = 128 * 1024
GZIP_LEVEL: Final = 1
GZIP_WINDOW: Final = 31
"""gzip of the largest window, by ISA-L: a fifth of zlib's time, in which the loop of the service stands still."""


def harmless(text: str) -> str:
    """A text cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def write_rows(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows in the excel dialect, CRLF at their ends. Texts are made harmless; None is an empty cell."""
    out = io.StringIO()
    csv.writer(out, dialect="excel").writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue().encode()


def head(columns: Sequence[str], *, now: datetime, plain: bool) -> bytes:
    """The rows above the data: `Time UTC,<when>` unless `plain`, then the columns' names."""
    return write_rows(([] if plain else [("Time UTC", format_time(now.replace(microsecond=0)))]) + [tuple(columns)])


def asks_for_gzip(accept_encoding: str) -> bool:
    """Whether the header names gzip, and not with a weight of nothing, which forbids it (RFC 9110, 12.5.3)."""
    for offered in accept_encoding.lower().split(","):
        coding, _, weight = offered.partition(";")
        if coding.strip() == "gzip":
            return _NOT_AT_ALL.fullmatch(weight) is None
    return False


async def stream_csv(
    request: web.Request, *, filename: str, first: bytes, chunks: AsyncIterator[bytes], headers: dict[str, str] | None = None
) -> web.StreamResponse:
    """Answers with `first` and then the chunks as they come, gathered to 128 KB, gzip where the client asks for it.

    A client that leaves ends the iteration, and with it the query behind it.
    """
    response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{filename}"', **(headers or {})})
    response.content_type = "text/csv"
    response.charset = "utf-8"
    squeeze = None
    if asks_for_gzip(request.headers.get("Accept-Encoding", "")):
        response.headers["Content-Encoding"] = "gzip"
        squeeze = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, GZIP_WINDOW)
    response.headers["Vary"] = "Accept-Encoding"
    await response.prepare(request)
    async for block in _gathered(first, chunks):
        await response.write(squeeze.compress(block) if squeeze else block)
    if squeeze:
        await response.write(squeeze.flush())
    await response.write_eof()
    return response


async def _gathered(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    held = bytearray(first)
    async for chunk in chunks:
        held += chunk
        if len(held) >= BUFFER_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value
