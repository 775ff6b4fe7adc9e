"""Stores: what may be said of one, and reading thousands of them from JSON or CSV, every bad row named."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from services.codegen.domain.refusals import Fault, Wrong, identifier_fault, name_fault, wrong
from shared.contracts.codegen import Store
from shared.contracts.game_platforms import REGION_LENGTH

REQUIRED: Final = ("id", "name")
OPTIONAL_TEXTS: Final = {"chain": 64, "region": REGION_LENGTH, "country": REGION_LENGTH, "peer_group": 64}
FLAGS: Final = ("hidden", "test", "paused")
COLUMNS: Final = (*REQUIRED, *OPTIONAL_TEXTS, *FLAGS)
ROWS_LIMIT: Final = 100_000
FAULTS_SHOWN: Final = ROWS_LIMIT
"""Every bad row is named, be it with one fault alone; what a row has more than others is cut off the end of the list."""

_FLAG_WORDS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreChanges:
    """What a list of stores does to those that are there."""

    created: tuple[Store, ...]
    updated: tuple[Store, ...]
    unchanged: int


class Unreadable(Exception):  # noqa: N818 (answered as 400)
    """The body is no CSV at all; the text says why."""


def stores_from_csv(body: bytes) -> list[dict[str, Any]]:
    """The rows of a CSV with the stores' field names as its header, as they stand; empty cells of optional fields are left out.

    Raises Unreadable for another encoding than UTF-8, and Wrong for a header or row of the wrong shape.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"The CSV is not in UTF-8 (byte {error.start}); save it as CSV UTF-8") from None
    try:
        lines = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise Unreadable(f"The CSV cannot be read: {error}") from None
    if not lines:
        raise Unreadable("The CSV is empty; its first row must name the columns")
    header = [name.strip() for name in lines[0]]
    _check_header(header)
    faults = [
        Fault(f"{index}", f"row {index + 1}: has {len(row)} cells where the header has {len(header)}")
        for index, row in enumerate(lines[1:])
        if len(row) != len(header)
    ]
    if faults:
        raise Wrong(*faults[:FAULTS_SHOWN])
    return [_cells(header, row) for row in lines[1:]]


def checked_stores(rows: Sequence[Any]) -> list[Store]:
    """The stores that the rows describe, revision 1. Raises Wrong, naming every bad row by number and field."""
    if not 1 <= len(rows) <= ROWS_LIMIT:
        raise wrong("(body)", f"must have 1 to {ROWS_LIMIT:,} stores")
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for index, row in enumerate(rows):
        for field, message in _row_faults(row, seen):
            faults.append(Fault(f"{index}.{field}" if field else str(index), f"row {index + 1}: {message}"))
        if isinstance(row, Mapping) and isinstance(row.get("id"), str):
            seen.setdefault(row["id"], index)
    if faults:
        raise Wrong(*faults[:FAULTS_SHOWN])
    return [Store(revision=1, **{name: value for name, value in row.items() if value is not None}) for row in rows]


def changes_to(known: Mapping[str, Store], wanted: Iterable[Store]) -> StoreChanges:
    """Compares a list with the stores that are there, by id. A store is replaced as a whole, its revision one up."""
    created, updated, unchanged = [], [], 0
    for store in wanted:
        before = known.get(store.id)
        if before is None:
            created.append(store)
        elif msgspec.structs.replace(store, revision=before.revision) == before:
            unchanged += 1
        else:
            updated.append(msgspec.structs.replace(store, revision=before.revision + 1))
    return StoreChanges(created=tuple(created), updated=tuple(updated), unchanged=unchanged)


def _check_header(header: Sequence[str]) -> None:
    faults = [Fault(name or "(header)", "is not a known column") for name in header if name not in COLUMNS]
    faults += [Fault(name, "is missing from the header") for name in REQUIRED if name not in header]
    faults += [Fault(name, "is in the header twice") for name in sorted(set(header)) if header.count(name) > 1]
    if faults:
        raise Wrong(*faults)


def _cells(header: Sequence[str], row: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, cell in zip(header, row, strict=True):
        if name in FLAGS:
            found[name] = _FLAG_WORDS.get(cell.strip().lower(), cell)
        elif name in REQUIRED or cell.strip():
            found[name] = cell.strip()
    return found


def _row_faults(row: Any, seen: Mapping[str, int]) -> Iterable[tuple[str, str]]:
    if not isinstance(row, Mapping):
        yield "", "must be an object"
        return
    yield from ((str(name), "is not a known field") for name in row if name not in COLUMNS)
    for name in REQUIRED:
        if not isinstance(row.get(name), str):
            yield name, "must be a text"
            continue
        message = identifier_fault(row[name]) if name == "id" else name_fault(row[name])
        if message is None and name == "id" and row[name] in seen:
            message = f"is the same as in row {seen[row[name]] + 1}"
        if message:
            yield name, message
    for name, length in OPTIONAL_TEXTS.items():
        value = row.get(name)
        message = name_fault(value, length=length) if isinstance(value, str) else "must be a text"
        if value is not None and message:
            yield name, message
    for name in FLAGS:
        if name in row and not isinstance(row[name], bool):
            yield name, "must be true or false"
