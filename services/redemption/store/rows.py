"""Rows of the places' table as values."""

from typing import Any

from services.redemption.domain.places import Place
from shared.contracts.redemption import Source


def place_of(row: Any) -> Place:
    source = row["last_source"]
    return Place(
        partition=row["partition"],
        epoch=row["epoch"],
        position=row["position"],
        version=row["version"],
        outbox=row["outbox"],
        last_key_hash=row["last_key_hash"],
        last_timestamp=row["last_timestamp"],
        last_source=Source(**source) if source is not None else None,
    )


def source_value(source: Source | None) -> dict[str, int] | None:
    if source is None:
        return None
    return {"epoch": source.epoch, "partition": source.partition, "offset": source.offset}
