"""Taking in lists of stores, all or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from services.codegen.domain.refusals import Missing
from services.codegen.domain.stores import changes_to
from services.codegen.handlers.announcing import Announcements, store_record
from services.codegen.store.database import Database, Session
from shared.contracts.codegen import Store
from shared.contracts.topics import STORES


@dataclass(frozen=True, slots=True, kw_only=True)
class StoresPut:
    """What a list did."""

    created: int
    updated: int
    unchanged: int


class StoreHandlers:
    def __init__(self, database: Database, announcements: Announcements) -> None:
        self._database = database
        self._announcements = announcements

    async def put(self, stores: Sequence[Store], *, actor: str, now: datetime) -> StoresPut:
        """Adds and replaces stores; the other services know of them when it returns. The same list again changes nothing."""
        async with self._database.transaction() as session:
            await session.stores.hold_lists()
            known = await session.stores.lock_stores([store.id for store in stores])
            done, ids = await _put(session, known, stores, actor=actor, now=now)
        await self._announcements.wait(ids)
        return done

    async def pause(self, store_id: str, paused: bool, *, actor: str, now: datetime) -> Store:
        """Stops or allows the redemption of a store's codes, everywhere. Raises Missing, NotYet."""
        async with self._database.transaction() as session:
            known = await session.stores.lock_stores([store_id])
            if store_id not in known:
                raise Missing("store")
            store = msgspec.structs.replace(known[store_id], paused=paused)
            _, ids = await _put(session, known, [store], actor=actor, now=now)
        await self._announcements.wait(ids)
        return store

    async def count(self) -> int:
        async with self._database.reading() as session:
            return await session.stores.count_stores()

    async def page(self, after: str, limit: int) -> Sequence[Store]:
        async with self._database.reading() as session:
            return await session.stores.list_stores(after, limit)

    async def find(self, text: str, after: str, limit: int) -> Sequence[Store]:
        """Stores whose id or name holds the text, whatever the case."""
        async with self._database.reading() as session:
            return await session.stores.find_stores(text, after, limit)


async def _put(
    session: Session, known: Mapping[str, Store], stores: Sequence[Store], *, actor: str, now: datetime
) -> tuple[StoresPut, list[int]]:
    """Stores what differs from the locked rows in `known`; what it did, and the records of all of them that wait."""
    changes = changes_to(known, stores)
    if changes.created:
        await session.stores.insert_stores(changes.created, now)
    if changes.updated:
        await session.stores.update_stores(changes.updated, now)
    done = StoresPut(created=len(changes.created), updated=len(changes.updated), unchanged=changes.unchanged)
    touched = (*changes.created, *changes.updated)
    await session.outbox.insert_outbox([store_record(store) for store in touched])
    if touched:
        details = {"created": done.created, "updated": done.updated, "ids": [store.id for store in touched[:1_000]]}
        await session.audit.insert_audit(now, actor, "stores.put", f"{len(touched)} stores", details)
    return done, await session.outbox.outbox_of_keys(STORES.name, [store.id for store in stores])
