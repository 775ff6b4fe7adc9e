"""Rows as the topics have them, taken where the tables have older ones or none: after a back-up was put back."""

from collections.abc import Mapping
from datetime import datetime

from services.codegen.domain.batches import BatchRow
from services.codegen.store.batches import SharedPartition, batch_row
from services.codegen.store.rows import Connection, present
from shared.contracts.codegen import Batch, Campaign, Token, Void
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


class Adopting:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def adopt_campaign(self, campaign: Campaign) -> bool:
        """Whether the topic's was newer."""
        limits = campaign.limits
        adopted = await self._connection.fetchval(
            queries.adopt_campaign,
            campaign.id,
            campaign.name,
            campaign.starts_at,
            campaign.ends_at,
            campaign.time_zone,
            list(campaign.games),
            list(campaign.regions),
            limits.per_player,
            limits.per_store,
            limits.total,
            campaign.paused,
            campaign.archived,
            campaign.revision,
            campaign.created_at,
            campaign.updated_at,
        )
        return adopted is not None

    async def adopt_token(self, token: Token, actor: str, now: datetime) -> bool:
        """Whether the topic's was newer."""
        adopted = await self._connection.fetchval(
            queries.adopt_token,
            token.id,
            token.sha256,
            list(token.scopes),
            token.expires_at,
            token.revoked_at,
            token.revision,
            actor,
            now,
        )
        return adopted is not None

    async def adopt_batch(self, batch: Batch, now: datetime) -> BatchRow:
        """The batch in the topic's state; one that is ready there counts as loaded."""
        row = await self._connection.fetchrow(
            queries.adopt_batch, batch.id, batch.state.value, batch.paused, batch.revision, batch.published_at, now
        )
        return batch_row(present(row))

    async def raise_batch_revision(self, batch: Batch) -> None:
        await self._connection.execute(queries.raise_batch_revision, batch.id, batch.revision)

    async def shared_partition_of(self, serial: int) -> SharedPartition | None:
        row = await self._connection.fetchrow(queries.shared_partition_of, serial)
        return SharedPartition(**row) if row else None

    async def known_voids(self) -> Mapping[str, set[int]]:
        """The records that are there, by void."""
        known: dict[str, set[int]] = {}
        for row in await self._connection.fetch(queries.known_voids):
            known.setdefault(row["void_id"], set()).add(row["part"])
        return known

    async def ensure_void(self, void: Void) -> None:
        """Without its ranges. What it was aimed at is not told; its ranges say what it reached."""
        codes = sum(stretch.codes for stretch in void.ranges)
        target = {"adopted": True}
        await self._connection.execute(queries.ensure_void, void.id, void.reason, target, codes, void.voided_by, void.voided_at)
