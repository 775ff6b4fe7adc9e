"""`counterfoil documents`: writes the documents that are generated from the code's own types."""

from pathlib import Path
from typing import Annotated

import typer

from shared.contracts.asyncapi import asyncapi_text


def documents(folder: Annotated[Path, typer.Option(help="Where to write")] = Path("docs")) -> None:
    """Writes `docs/asyncapi.yaml` anew. A test says when it is stale."""
    (folder / "asyncapi.yaml").write_text(asyncapi_text(), encoding="utf-8")
    typer.echo(f"wrote {folder / 'asyncapi.yaml'}")
