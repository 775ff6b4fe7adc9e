"""`.run/env`: lines of NAME=value that others read. It holds passwords and tokens, so it is its owner's alone."""

import os
from collections.abc import Mapping
from pathlib import Path


def read_env(path: Path) -> dict[str, str]:
    """What the file says; empty when it is not there. Lines that are not NAME=value are passed over."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value for name, value in pairs}


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Replaces the file at once, mode 600. A value must be one line."""
    for name, value in values.items():
        if "\n" in value:
            message = f"{name} holds a line break"
            raise ValueError(message)
    write_private(path, "".join(f"{name}={value}\n" for name, value in values.items()))


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, replacing the one before at once."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
