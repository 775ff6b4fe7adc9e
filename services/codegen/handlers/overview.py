"""What the pages show beside the API's answers: all campaigns with their figures, the latest dead letters."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from services.codegen.store.campaigns import CampaignFigures
from services.codegen.store.database import Database
from shared.contracts.codegen import Campaign
from shared.contracts.topics import DEAD_LETTERS
from shared.kafka.records import Record

CAMPAIGNS_SHOWN: Final = 200
LETTERS_SHOWN: Final = 50
FIGURES_SECONDS: Final = 2.0
"""Figures are counted at most so often, however many pages are open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignRow:
    campaign: Campaign
    figures: CampaignFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterRow:
    """A dead letter without its content. `origin` in words."""

    failed_at: datetime
    reason: str
    detail: str
    origin: str


class LetterReader(Protocol):
    """What is needed of an inspector."""

    async def partitions(self, topic: str) -> int: ...
    async def bounds(self, topic: str, partition: int) -> tuple[int, int]: ...
    def read(self, topic: str, partition: int, start: int, end: int | None = None) -> AsyncIterator[Record]: ...


class OverviewHandlers:
    def __init__(self, database: Database, letters: LetterReader) -> None:
        self._database = database
        self._letters = letters
        self._figures: Mapping[str, CampaignFigures] = {}
        self._counted_at = float("-inf")

    async def campaigns(self, *, now: datetime) -> list[CampaignRow]:
        """Campaigns with their figures: those that run before those that are over."""
        async with self._database.reading() as session:
            found = await session.campaigns.list_campaigns("", CAMPAIGNS_SHOWN, now)
            if time.monotonic() - self._counted_at > FIGURES_SECONDS:
                self._figures = await session.campaigns.campaign_figures()
                self._counted_at = time.monotonic()
        rows = [CampaignRow(campaign=c, figures=self._figures.get(c.id, CampaignFigures())) for c in found]
        return sorted(rows, key=lambda row: (row.campaign.state in ("ended", "archived"), row.campaign.name))

    async def dead_letters(self) -> tuple[int, Sequence[DeadLetterRow]]:
        """How many there are, and the latest of them, newest first. Their content stays where it is."""
        total, rows = 0, []
        for partition in range(await self._letters.partitions(DEAD_LETTERS.name)):
            first, end = await self._letters.bounds(DEAD_LETTERS.name, partition)
            total += end - first
            start = max(first, end - LETTERS_SHOWN)
            rows += [_letter(record) async for record in self._letters.read(DEAD_LETTERS.name, partition, start, end)]
        rows.sort(key=lambda row: row.failed_at, reverse=True)
        return total, rows[:LETTERS_SHOWN]


def _letter(record: Record) -> DeadLetterRow:
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    where = [headers.get(name, "?") for name in ("origin_topic", "origin_partition", "origin_offset")]
    return DeadLetterRow(
        failed_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        reason=headers.get("reason", "unknown"),
        detail=headers.get("detail", ""),
        origin=f"{where[0]}, {where[1]}/{where[2]}",
    )
