"""Why something that was asked for is not done; each is answered as a 4xx by the API, with nothing stored."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_IDENTIFIER_REFUSED: Final = re.compile(r'[\s/\\,?#%"]')
IDENTIFIER_LENGTH: Final = 64
NAME_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field of a request: its path, dots between the parts, and a sentence."""

    field: str
    message: str


class Refused(Exception):  # noqa: N818 (the field's own word; nothing broke)
    """Base of what is refused. The text is a sentence for the caller."""


class Wrong(Refused):
    """Understood but not right; names every field."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults[:5]))
        self.faults = faults


class Missing(Refused):
    """What the path names is not there. `what` is its kind in words."""

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no such {what}")
        self.what = what


class Conflict(Refused):
    """It cannot be done in the state that things are in."""


class NotYet(Refused):
    """It is stored, but the topic has not taken it; it will be sent as soon as Kafka is back."""


def wrong(field: str, message: str) -> Wrong:
    return Wrong(Fault(field, message))


def identifier_fault(text: str) -> str | None:
    """What keeps a text from being an id, None when it is one. Ids stand in paths, filters and cells."""
    if not 1 <= len(text) <= IDENTIFIER_LENGTH:
        return f"must have 1 to {IDENTIFIER_LENGTH} characters"
    if not text.isprintable() or _IDENTIFIER_REFUSED.search(text):
        return 'must be printable, without blanks and / \\ , ? # % "'
    return "must not be dots alone" if not text.strip(".") else None


def name_fault(text: str, *, length: int = NAME_LENGTH) -> str | None:
    """What keeps a text from being a name, None when it is one. Control characters are refused as they come in."""
    if not 1 <= len(text) <= length:
        return f"must have 1 to {length} characters"
    if any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F or c in "\u2028\u2029" for c in text):
        return "must not hold control characters"
    return "must not be blank" if not text.strip() else None


def texts_faults(field: str, texts: Iterable[str], *, length: int) -> list[Fault]:
    """The faults of a list of names, and of names given twice."""
    found, seen = [], set()
    for index, text in enumerate(texts):
        message = name_fault(text, length=length) or ("is given twice" if text in seen else None)
        if message:
            found.append(Fault(f"{field}.{index}", message))
        seen.add(text)
    return found
