"""Exports: the codes of a batch or store as CSV, and the manifest. The only place where whole codes leave."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from services.codegen.domain.batches import LOADED, BatchRow
from services.codegen.domain.refusals import Conflict, Missing
from services.codegen.handlers.loading import OnCpu
from services.codegen.store.batches import AllotmentRow
from services.codegen.store.database import Database
from shared.codes.alphabet import grouped_texts
from shared.codes.ff1 import Ff1
from shared.codes.key_ring import KeyRing

PAGE_CODES = 1 << 16
"""Codes read and written at a time: no connection is held while a slow client takes them."""

CODES_COLUMNS = ("code", "serial", "store_id")
MANIFEST_COLUMNS = ("store_id", "store_name", "count", "first_serial", "last_serial", "sha256")
_GROUPED_LENGTH = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An export that may begin. `stores`: ids by number, those that may appear."""

    batch: BatchRow
    stores: Mapping[int, str]
    store_number: int | None
    after_serial: int


class ExportHandlers:
    def __init__(self, database: Database, ring: KeyRing, *, on_cpu: OnCpu) -> None:
        self._database = database
        self._ring = ring
        self._on_cpu = on_cpu

    async def begin_codes(self, batch_id: str, store_id: str | None, after_serial: int, *, actor: str, now: datetime) -> Export:
        """Notes the export in the audit log. Raises Missing, and Conflict for a batch that is not loaded."""
        async with self._database.transaction() as session:
            batch = await session.batches.find_batch(batch_id)
            if batch is None:
                raise Missing("batch")
            if batch.state not in LOADED:
                raise Conflict(f"The batch is {batch.state.value}; its codes can be had once it is ready")
            allotments = await session.batches.list_allotments(batch.number)
            number = _store_number(allotments, store_id)
            details = {"store_id": store_id, "after_serial": after_serial}
            await session.audit.insert_audit(now, actor, "codes.exported", batch_id, details)
        stores = {a.store_number: a.store_id for a in allotments}
        return Export(batch=batch, stores=stores, store_number=number, after_serial=after_serial)

    async def codes(self, export: Export) -> AsyncIterator[bytes]:
        """The export's rows as CSV, in serial order. Memory does not grow with the batch."""
        key = self._ring.by_id(export.batch.key_id)
        if key is None:
            raise Missing("key")
        writer = CodesWriter(Ff1(key.key), export.stores)
        after, last = max(export.after_serial, export.batch.first_serial - 1), export.batch.last_serial
        while True:
            async with self._database.reading() as session:
                serials, stores = await session.register.page_of_codes(after, last, PAGE_CODES, export.store_number)
            if len(serials):
                yield await self._on_cpu(lambda s=serials, n=stores: writer.write(s, n))  # type: ignore[misc]
                after = int(serials[-1])
            if len(serials) < PAGE_CODES:
                return

    async def manifest(self, batch_id: str, *, actor: str, now: datetime) -> Sequence[AllotmentRow]:
        """The batch's allotments with their hashes. Notes the export. Raises Missing, Conflict."""
        export = await self.begin_codes(batch_id, None, 0, actor=actor, now=now)
        async with self._database.reading() as session:
            return await session.batches.list_allotments(export.batch.number)


class CodesWriter:
    """Writes rows `code,serial,store_id` with CRLF, the code grouped, as whole arrays: no Python object a row."""

    def __init__(self, cipher: Ff1, stores: Mapping[int, str]) -> None:
        self._cipher = cipher
        self._tails = {number: f",{_cell(store_id)}\r\n".encode() for number, store_id in stores.items()}

    def write(self, serials: NDArray[np.int64], stores: NDArray[np.int32]) -> bytes:
        """The rows of some serials, ascending, with their store numbers."""
        codes = grouped_texts(self._cipher.encrypt(serials))
        out = []
        for start, end in _runs(serials, stores):
            out.append(_rows(codes[start:end], serials[start:end], self._tails[int(stores[start])]))
        return b"".join(out)


def _rows(codes: NDArray[np.uint8], serials: NDArray[np.int64], tail: bytes) -> bytes:
    """Rows of one store whose serials have the same number of digits: a table of bytes, column by column."""
    digits = len(str(int(serials[-1])))
    width = _GROUPED_LENGTH + 1 + digits + len(tail)
    table = np.empty((len(serials), width), dtype=np.uint8)
    table[:, :_GROUPED_LENGTH] = codes
    table[:, _GROUPED_LENGTH] = ord(",")
    rest = serials.astype(np.uint64)
    for place in range(_GROUPED_LENGTH + digits, _GROUPED_LENGTH, -1):
        quotient = rest // np.uint64(10)
        table[:, place] = rest - quotient * np.uint64(10) + np.uint64(ord("0"))
        rest = quotient
    table[:, width - len(tail) :] = np.frombuffer(tail, dtype=np.uint8)
    return table.tobytes()


def _runs(serials: NDArray[np.int64], stores: NDArray[np.int32]) -> list[tuple[int, int]]:
    """Stretches of one store and one number of digits, as (start, end)."""
    powers = [10**n for n in range(1, 18) if serials[0] < 10**n <= serials[-1]]
    cuts = np.searchsorted(serials, powers)
    changes = np.flatnonzero(np.diff(stores)) + 1
    edges = [0, *sorted({*map(int, changes), *map(int, cuts)} - {0, len(serials)}), len(serials)]
    return list(pairwise(edges))


def _cell(text: str) -> str:
    """An id as a harmless CSV cell; ids hold neither quotes nor commas nor blanks."""
    return f"'{text}" if text[0] in "=+-@" else text


def _store_number(allotments: Sequence[AllotmentRow], store_id: str | None) -> int | None:
    if store_id is None:
        return None
    for allotment in allotments:
        if allotment.store_id == store_id:
            return allotment.store_number
    raise Missing("store in this batch")
