"""The stores as boards see them: a number for each id, who is shown, and who belongs to which region, chain or peer group."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]
Digests = NDArray[np.uint64]

_SEPARATOR: Final = "\x1f"


class ScopeKind(StrEnum):
    ALL = "all"
    REGION = "region"
    CHAIN = "chain"
    PEER = "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose stores a board holds. `name` is None for ALL alone."""

    kind: ScopeKind = ScopeKind.ALL
    name: str | None = None

    def __str__(self) -> str:
        return self.kind.value if self.name is None else f"{self.kind}:{self.name}"


OVERALL: Final = Scope()


def parse_scope(text: str) -> Scope:
    """The scope that `all`, `region:X`, `chain:X` or `peer:X` names. Raises ValueError with a sentence for anything else."""
    kind, colon, name = text.partition(":")
    if text == ScopeKind.ALL:
        return OVERALL
    if colon and name and kind in (ScopeKind.REGION, ScopeKind.CHAIN, ScopeKind.PEER):
        return Scope(kind=ScopeKind(kind), name=name)
    message = "scope must be all, region:<name>, chain:<name> or peer:<name>"
    raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """What a row of a board says of a store. Hidden and test stores are not `shown`."""

    id: str
    name: str
    chain: str | None = None
    region: str | None = None
    peer_group: str | None = None
    shown: bool = True

    def belongs_to(self, scope: Scope) -> bool:
        match scope.kind:
            case ScopeKind.ALL:
                return True
            case ScopeKind.REGION:
                return self.region == scope.name
            case ScopeKind.CHAIN:
                return self.chain == scope.name
            case ScopeKind.PEER:
                return self.peer_group == scope.name

    def digest(self) -> int:
        """64 bits over what a row shows, the same in every process."""
        text = _SEPARATOR.join((self.id, self.name, self.chain or "", self.region or "", self.peer_group or ""))
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


class StoreIndex:
    """A small number for each store id, given at first sight and never changed; the place of a store in every array."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.ids: list[str] = []

    def __len__(self) -> int:
        return len(self.ids)

    def number(self, store_id: str) -> int:
        known = self.numbers.get(store_id)
        if known is not None:
            return known
        self.numbers[store_id] = len(self.ids)
        self.ids.append(store_id)
        return len(self.ids) - 1

    def find(self, store_id: str) -> int | None:
        return self.numbers.get(store_id)


class Roster:
    """The facts of the stores of an index, and arrays over them that are made again after a change.

    A store of the index without facts is not shown: it may be a hidden one whose record has not arrived.
    """

    def __init__(self, index: StoreIndex, stores: Iterable[StoreFacts] = ()) -> None:
        self.index = index
        self.generation = 0
        self._facts: dict[int, StoreFacts] = {}
        self._arrays: dict[object, Any] = {}
        self._arrays_of = (-1, -1)
        for facts in stores:
            self.put(facts)

    def put(self, facts: StoreFacts) -> None:
        number = self.index.number(facts.id)
        if self._facts.get(number) != facts:
            self._facts[number] = facts
            self.generation += 1

    def remove(self, store_id: str) -> None:
        number = self.index.find(store_id)
        if number is not None and self._facts.pop(number, None) is not None:
            self.generation += 1

    def get(self, number: int) -> StoreFacts | None:
        return self._facts.get(number)

    def find(self, store_id: str) -> tuple[int, StoreFacts] | None:
        """The store's number and facts, None for a store that is not known."""
        number = self.index.find(store_id)
        facts = None if number is None else self._facts.get(number)
        return None if number is None or facts is None else (number, facts)

    def __iter__(self) -> Iterator[StoreFacts]:
        return iter(self._facts.values())

    def has_any(self, scope: Scope) -> bool:
        """Whether any known store belongs to the scope."""
        return scope.kind is ScopeKind.ALL or any(facts.belongs_to(scope) for facts in self._facts.values())

    def shown_by_id(self) -> Indices:
        """The numbers of the stores that are shown, in the order of their ids."""
        arrays = self._current_arrays()
        if "shown_by_id" not in arrays:
            shown = [(facts.id, number) for number, facts in self._facts.items() if facts.shown]
            arrays["shown_by_id"] = np.array([number for _, number in sorted(shown)], dtype=np.int64)
        result: Indices = arrays["shown_by_id"]
        return result

    def members(self, scope: Scope) -> Flags:
        """For each number, whether the store is shown and belongs to the scope."""
        arrays = self._current_arrays()
        if scope not in arrays:
            flags = np.zeros(len(self.index), dtype=np.bool_)
            flags[[n for n, facts in self._facts.items() if facts.shown and facts.belongs_to(scope)]] = True
            arrays[scope] = flags
        result: Flags = arrays[scope]
        return result

    def digests(self) -> Digests:
        """For each number, the digest of the store's facts; 0 without."""
        arrays = self._current_arrays()
        if "digests" not in arrays:
            digests = np.zeros(len(self.index), dtype=np.uint64)
            for number, facts in self._facts.items():
                digests[number] = facts.digest()
            arrays["digests"] = digests
        result: Digests = arrays["digests"]
        return result

    def _current_arrays(self) -> dict[object, Any]:
        now = (self.generation, len(self.index))
        if self._arrays_of != now:
            self._arrays, self._arrays_of = {}, now
        return self._arrays
