"""`counterfoil keys`: the key ring's file. Keys are added at the end and never removed (`protocol.md`, rule 25)."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from counterfoil.environment import CommandError
from counterfoil.printing import AsJson, print_json, print_table
from shared.codes.key_ring import KeyRing, new_key
from shared.environment import read_code_keys

app = typer.Typer(no_args_is_help=True)


@app.command("new")
def new(
    file: Annotated[Path | None, typer.Option(help="The key ring's file; CODE_KEYS_FILE by default")] = None,
    key_id: Annotated[str | None, typer.Option("--id", help="The new key's id; k1, k2, … by default")] = None,
) -> None:
    """Adds a new key to the ring, making the file if it is not there. New batches use it once the services have it."""
    path = file or _path_from_environment()
    keys = read_code_keys({"CODE_KEYS_FILE": str(path)}).keys if path.exists() else ()
    key = new_key(key_id or f"k{len(keys) + 1}", secrets.token_bytes(32))
    if any(known.id == key.id for known in keys):
        raise CommandError(f"the ring has a key {key.id} already; choose another --id")
    _write(path, KeyRing((*keys, key)))
    typer.echo(f"{key.id} {key.check_value} added to {path}. Keep a copy of this file apart: without it no code can be read.")


@app.command("list")
def show(
    file: Annotated[Path | None, typer.Option(help="The key ring's file; CODE_KEYS_FILE by default")] = None,
    json: AsJson = False,
) -> None:
    """Shows ids and check values, oldest first; never the keys themselves."""
    ring = read_code_keys({"CODE_KEYS_FILE": str(file)} if file else None)
    keys = [
        {"id": key.id, "check": key.check_value, "used for": "new batches" if key is ring.newest else "reading"}
        for key in ring.keys
    ]
    if json:
        print_json([{"id": key["id"], "check": key["check"], "newest": key["used for"] == "new batches"} for key in keys])
    else:
        print_table(("id", "check", "used for"), keys)


def _path_from_environment() -> Path:
    path = os.environ.get("CODE_KEYS_FILE")
    if not path:
        raise CommandError("name the key ring's file with --file or CODE_KEYS_FILE")
    return Path(path)


def _write(path: Path, ring: KeyRing) -> None:
    """Replaces the file in one step, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.touch(mode=0o600, exist_ok=True)
    draft.write_text(ring.to_json() + "\n")
    draft.replace(path)
