"""Named statements from a `queries.sql`: a line `-- name: record_redemptions`, a sentence or two, the statement.

The sentence says what the statement guarantees; it is for readers. A store's method is named as its query.
"""

import re
from collections.abc import Mapping
from pathlib import Path

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)


class Queries:
    """The statements of one file, as attributes. Raises AttributeError for a name that the file does not have."""

    def __init__(self, text: str) -> None:
        parts = _NAME.split(text)[1:]
        names = parts[::2]
        if len(set(names)) != len(names):
            message = f"a query is named twice: {sorted(name for name in names if names.count(name) > 1)}"
            raise ValueError(message)
        self._statements = {name: body.strip() for name, body in zip(names, parts[1::2], strict=True)}

    @classmethod
    def beside(cls, module_file: str) -> "Queries":
        """The `queries.sql` in the folder of a module (pass `__file__`) or, for a package's module, in the folder above."""
        folder = Path(module_file).parent
        for place in (folder, folder.parent):
            if (place / "queries.sql").is_file():
                return cls((place / "queries.sql").read_text())
        message = f"there is no queries.sql beside {module_file}"
        raise FileNotFoundError(message)

    def renamed(self, tables: Mapping[str, str]) -> "Queries":
        """The same statements with other names for some tables (whole words), to build a table anew beside itself."""
        words = re.compile(rf"\b({'|'.join(map(re.escape, tables))})\b")
        other = Queries("")
        other._statements = {
            name: words.sub(lambda match: tables[match[1]], statement) for name, statement in self._statements.items()
        }
        return other

    def __getattr__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            message = f"queries.sql has no query named {name}"
            raise AttributeError(message) from None

    def names(self) -> list[str]:
        return list(self._statements)
