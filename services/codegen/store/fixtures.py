"""Rows as wholes, for dumping a system and loading one into an empty schema."""

from collections.abc import Sequence
from pathlib import Path

from services.codegen.domain.batches import BatchRow
from services.codegen.domain.fixtures import BatchFixture, CampaignFixture, SerialsFixture, VoidFixture
from services.codegen.store.batches import batch_row
from services.codegen.store.rows import Connection, present
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)


class Fixtures:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def hold_for_loading(self) -> None:
        """Nobody else makes campaigns, stores or batches until the transaction ends."""
        await self._connection.execute(queries.wait_for_codes_within_loading)
        await self._connection.execute(queries.hold_for_loading)

    async def count_what_is_there(self) -> dict[str, int]:
        """How many rows there are of each kind; an empty schema has none."""
        return dict(present(await self._connection.fetchrow(queries.count_what_is_there)))

    async def list_serials(self) -> Sequence[SerialsFixture]:
        """The shared stretches in order; the last row, without an end, is where new ranges begin."""
        return [SerialsFixture(**row) for row in await self._connection.fetch(queries.list_serials)]

    async def restore_shared_partition(self, serials: SerialsFixture) -> None:
        """Makes a shared partition, empty, with a part of it taken."""
        await self._connection.execute(queries.insert_shared_partition, serials.first_serial, serials.last_serial)
        await self._connection.execute(queries.create_shared_partition, serials.first_serial, serials.last_serial)
        await self._connection.execute(queries.move_shared_partition, serials.first_serial, serials.next_serial)

    async def restore_campaign(self, campaign: CampaignFixture) -> None:
        limits = campaign.limits
        await self._connection.execute(
            queries.restore_campaign,
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

    async def restore_batch(self, batch: BatchFixture, store_numbers: Sequence[int]) -> BatchRow:
        """The batch with its allotments in order; nothing of it is in the register yet."""
        loaded = batch.count if batch.is_loaded else 0
        row = await self._connection.fetchrow(
            queries.restore_batch,
            batch.id,
            batch.campaign_id,
            batch.state.value,
            batch.count,
            len(batch.allotments),
            batch.key_id,
            batch.key_check,
            batch.words,
            batch.first_serial,
            batch.last_serial,
            batch.own_partition,
            batch.publish_when_ready,
            batch.paused,
            batch.revision,
            batch.error,
            loaded,
            batch.created_by,
            batch.created_at,
            batch.started_at,
            batch.loaded_at,
            batch.ready_at,
            batch.published_at,
        )
        restored = batch_row(present(row))
        counts = [allotment.count for allotment in batch.allotments]
        await self._connection.execute(queries.insert_allotments, restored.number, list(store_numbers), counts)
        return restored

    async def note_blocks(self, batch_id: str, blocks: int) -> None:
        await self._connection.execute(queries.note_blocks, batch_id, blocks)

    async def restore_void(self, void: VoidFixture) -> None:
        """Without its ranges."""
        await self._connection.execute(
            queries.insert_void, void.id, void.reason, void.target, void.outstanding, void.voided_by, void.voided_at
        )

    async def copy_register(self, batch: BatchRow, path: Path) -> int:
        """Writes a batch's rows as CSV in serial order, with a header; how many."""
        status: str = await self._connection.copy_from_query(
            queries.register_of_batch.rstrip(";"),
            batch.number,
            batch.first_serial,
            batch.last_serial,
            output=path,
            format="csv",
            header=True,
        )
        return int(status.removeprefix("COPY "))
