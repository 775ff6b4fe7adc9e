"""Reference copies of campaigns, stores, batches and voids. Taking the same values again changes nothing."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import orjson

from shared.contracts.codegen import Batch, Campaign, Store, Void
from shared.postgres.connections import hold
from shared.postgres.queries import Queries

queries: Final = Queries.beside(__file__)


class ReferenceStore:
    """Keeps what codegen publishes; a lower revision than the one kept is ignored."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def keep_campaigns(self, campaigns: Sequence[Campaign]) -> None:
        await self._pool.execute(
            queries.keep_campaigns,
            _rows(
                {
                    "id": c.id,
                    "revision": c.revision,
                    "name": c.name,
                    "starts_at": c.starts_at,
                    "ends_at": c.ends_at,
                    "time_zone": c.time_zone,
                    "paused": c.paused,
                    "archived": c.archived,
                }
                for c in campaigns
            ),
        )

    async def keep_stores(self, stores: Sequence[Store]) -> None:
        await self._pool.execute(
            queries.keep_stores,
            _rows(
                {
                    "id": s.id,
                    "revision": s.revision,
                    "name": s.name,
                    "chain": s.chain,
                    "region": s.region,
                    "country": s.country,
                    "peer_group": s.peer_group,
                    "hidden": s.hidden,
                    "test": s.test,
                }
                for s in stores
            ),
        )

    async def keep_batches(self, batches: Sequence[Batch]) -> None:
        """Takes batches with their allotments, which replace the ones kept."""
        by_id = {batch.id: batch for batch in batches}
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(hold())
            newer = await connection.fetch(queries.keep_batches, _rows(_batch_row(by_id[key]) for key in sorted(by_id)))
            ids = [row["id"] for row in newer]
            await connection.execute(queries.forget_allotments, ids)
            await connection.execute(queries.keep_allotments, _rows(row for key in ids for row in _allotment_rows(by_id[key])))

    async def keep_voids(self, voids: Sequence[Void]) -> None:
        """Takes voids, and counts what is redeemed within the new ones while no fold runs."""
        rows = _rows(
            {
                "first_serial": r.first,
                "last_serial": r.last,
                "void_id": v.id,
                "voided_at": v.voided_at,
                "batch_id": r.batch_id,
                "store_id": r.store_id,
                "codes": r.codes,
            }
            for v in voids
            for r in v.ranges
        )
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '20s'; {hold(60)}")
            await connection.execute(queries.lock_voids)
            new = [row["first_serial"] for row in await connection.fetch(queries.keep_void_ranges, rows)]
            if new:
                await connection.execute(queries.count_redeemed_in_new_voids, new)


def _batch_row(batch: Batch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "revision": batch.revision,
        "campaign_id": batch.campaign_id,
        "state": batch.state.value,
        "codes": batch.count,
        "published_at": batch.published_at,
    }


def _allotment_rows(batch: Batch) -> list[dict[str, Any]]:
    return [
        {"batch_id": batch.id, "store_id": a.store_id, "first_serial": a.first_serial, "codes": a.count}
        for a in batch.allotments
    ]


def _rows(rows: Any) -> str:
    return orjson.dumps(list(rows)).decode()
