"""The key ring: keys with ids, oldest first; only the newest makes new codes, none is ever removed (rules 25 and 26)."""

import hashlib
import json
from dataclasses import dataclass
from typing import Final

KEY_BYTES: Final = 32
CHECK_LABEL: Final = b"counterfoil key check\x00"


class InvalidKeyRing(Exception):  # noqa: N818
    """The text is no key ring. The message says what to do and holds no key."""


@dataclass(frozen=True, slots=True, repr=False)
class CodeKey:
    """An AES-256 key and its id."""

    id: str
    key: bytes

    @property
    def check_value(self) -> str:
        """Eight hexadecimal digits that tell a wrong key under the right id, and nothing of the key."""
        return hashlib.sha256(CHECK_LABEL + self.key).hexdigest()[:8]

    def __repr__(self) -> str:
        return f"CodeKey({self.id!r}, …)"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys, oldest first; at least one."""

    keys: tuple[CodeKey, ...]

    @property
    def newest(self) -> CodeKey:
        return self.keys[-1]

    def by_id(self, key_id: str) -> CodeKey | None:
        return next((key for key in self.keys if key.id == key_id), None)

    def to_json(self) -> str:
        return json.dumps({"keys": [{"id": key.id, "key": key.key.hex()} for key in self.keys]}, indent=2)


def new_key(key_id: str, random_bytes: bytes) -> CodeKey:
    """A key of 32 random bytes. Raises InvalidKeyRing for any other length and for an empty id."""
    if not key_id:
        raise InvalidKeyRing("a key has no id: give each key an id of its own, such as k1")
    if len(random_bytes) != KEY_BYTES:
        raise InvalidKeyRing(f"the key {key_id!r} must be {2 * KEY_BYTES} hex digits; `counterfoil keys new` makes one")
    return CodeKey(key_id, random_bytes)


def parse_key_ring(text: str) -> KeyRing:
    """The ring that a JSON text holds. Raises InvalidKeyRing."""
    try:
        keys = tuple(new_key(str(row["id"]), bytes.fromhex(row["key"])) for row in json.loads(text)["keys"])
    except (ValueError, KeyError, TypeError):
        raise InvalidKeyRing(
            'a key ring is {"keys": [{"id": "k1", "key": "64 hex digits"}]}; `counterfoil keys new` makes one'
        ) from None
    if not keys or len({key.id for key in keys}) != len(keys):
        raise InvalidKeyRing("a key ring needs at least one key, each with an id of its own")
    if len({key.key for key in keys}) != len(keys):
        raise InvalidKeyRing("two ids have the same key: each id needs a key of its own; `counterfoil keys new` makes one")
    return KeyRing(keys)
