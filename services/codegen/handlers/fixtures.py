"""A dump as a folder: writing one, and reading one as far as that goes without a database.

Codes are not in a dump: they are made again from their serials by the same keys, and every store's hash is compared.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from services.codegen.domain import fixtures as files
from services.codegen.domain.batches import LOADED, BatchRow
from services.codegen.domain.fixtures import (
    AllotmentFixture,
    BadFixtures,
    BatchFixture,
    CampaignFixture,
    OrderFixture,
    SerialsFixture,
    VoidFixture,
)
from services.codegen.store.database import Database, Session
from services.codegen.store.voids import StoredVoid
from shared.codes.key_ring import KeyRing
from shared.contracts.codegen import BatchState, Store

ALL_ROWS: Final = 2**31 - 1

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """What a folder holds of codegen, checked as far as that goes without a database."""

    folder: Path
    campaigns: Sequence[CampaignFixture]
    stores: Sequence[Store]
    serials: Sequence[SerialsFixture]
    batches: Sequence[BatchFixture]
    orders: Sequence[OrderFixture]
    voids: Sequence[VoidFixture]

    @property
    def codes(self) -> int:
        """How many codes a load makes."""
        return sum(batch.count for batch in self.batches if batch.is_loaded)

    def register_of(self, batch: BatchFixture) -> Path | None:
        """The batch's rows of the register, where the dump has them."""
        path = self.folder / files.REGISTER_FOLDER / f"{batch.id}.csv"
        return path if path.is_file() else None


async def dump(database: Database, folder: Path, *, register: bool, new_codes: bool) -> None:
    """Writes the files, all as of one moment.

    `register`: also a row a code. `new_codes`: batches as orders, to be made anew under the keys of where they are loaded.
    """
    async with database.snapshot() as session:
        now = datetime.now(UTC)
        campaigns = await session.campaigns.list_campaigns("", ALL_ROWS, now)
        _write(folder / files.CAMPAIGNS_FILE, [files.fixture_of(campaign) for campaign in campaigns])
        _write(folder / files.STORES_FILE, await session.stores.list_stores("", ALL_ROWS))
        batches = sorted(await session.batches.list_batches(ALL_ROWS, ALL_ROWS, None), key=lambda batch: batch.number)
        if new_codes:
            archived = {campaign.id for campaign in campaigns if campaign.archived}
            ended = (BatchState.CANCELLED, BatchState.FAILED)
            wanted = [batch for batch in batches if batch.campaign_id not in archived and batch.state not in ended]
            _write(folder / files.ORDERS_FILE, [await _order(session, batch) for batch in wanted])
            return
        _write(folder / files.SERIALS_FILE, await session.fixtures.list_serials())
        _write(folder / files.BATCHES_FILE, [await _batch(session, batch) for batch in batches])
        voids = await session.voids.list_voids("", ALL_ROWS)
        _write(folder / files.VOIDS_FILE, [await _void(session, void) for void in voids])
        if register:
            (folder / files.REGISTER_FOLDER).mkdir()
            for batch in batches:
                if batch.state in LOADED:
                    await session.fixtures.copy_register(batch, folder / files.REGISTER_FOLDER / f"{batch.id}.csv")


def read_dump(folder: Path, ring: KeyRing) -> Dump:
    """What the folder holds. Raises BadFixtures for what is not right in itself, and for a key ring that is another."""
    found = Dump(
        folder=folder,
        campaigns=_read(folder / files.CAMPAIGNS_FILE, CampaignFixture),
        stores=_read(folder / files.STORES_FILE, Store),
        serials=_read(folder / files.SERIALS_FILE, SerialsFixture),
        batches=_read(folder / files.BATCHES_FILE, BatchFixture),
        orders=_read(folder / files.ORDERS_FILE, OrderFixture),
        voids=_read(folder / files.VOIDS_FILE, VoidFixture),
    )
    for campaign in found.campaigns:
        files.campaign_of(campaign)
    if found.stores:
        files.check_stores(found.stores)
    files.check_ring(found.batches, ring)
    files.check_batches(found.batches, {c.id for c in found.campaigns}, {s.id for s in found.stores}, found.serials)
    return found


async def _batch(session: Session, batch: BatchRow) -> BatchFixture:
    being_made = batch.state in (BatchState.GENERATING, BatchState.VERIFYING)
    loaded = batch.state in LOADED
    allotments = tuple(
        AllotmentFixture(
            store_id=row.store_id,
            count=row.count,
            first_serial=row.first_serial if loaded else None,
            last_serial=row.last_serial if loaded else None,
            sha256=row.sha256.hex() if loaded and row.sha256 else None,
        )
        for row in await session.batches.list_allotments(batch.number)
    )
    same = {name: getattr(batch, name) for name in BatchFixture.__struct_fields__ if name not in ("state", "allotments")}
    return BatchFixture(state=BatchState.QUEUED if being_made else batch.state, allotments=allotments, **same)


async def _order(session: Session, batch: BatchRow) -> OrderFixture:
    rows = await session.batches.list_allotments(batch.number)
    return OrderFixture(
        campaign_id=batch.campaign_id,
        allotments=tuple(AllotmentFixture(store_id=row.store_id, count=row.count) for row in rows),
        publish=batch.state is BatchState.PUBLISHED or batch.publish_when_ready,
        paused=batch.paused,
    )


async def _void(session: Session, void: StoredVoid) -> VoidFixture:
    parts = await session.voids.parts_after(void.id, 0)
    return VoidFixture(parts=tuple(part.ranges for part in parts), **msgspec.structs.asdict(void))


def _write(path: Path, values: Iterable[Any]) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(value) + b"\n" for value in values))


def _read(path: Path, kind: type[Value]) -> list[Value]:
    """The values of a file, none where there is no such file. Raises BadFixtures naming the line."""
    if not path.is_file():
        return []
    decoder, found = msgspec.json.Decoder(kind), []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            found.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadFixtures(f"{path.name}, line {number}: {error}") from None
    return found
