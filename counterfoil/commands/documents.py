"""`counterfoil documents`: writes the documents that are generated from the code's own types."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from counterfoil.http import service
from shared.contracts.asyncapi import asyncapi_text

SERVICES = ("codegen", "redemption", "ranking", "reporting")


def documents(
    folder: Annotated[Path, typer.Option(help="Where to write")] = Path("docs"),
    services: Annotated[bool, typer.Option(help="Also ask the running services for their OpenAPI documents")] = True,
) -> None:
    """Writes `docs/asyncapi.yaml` and, from the running system, `docs/openapi/*.json`. Tests say when one is stale."""
    (folder / "asyncapi.yaml").write_text(asyncapi_text(), encoding="utf-8")
    typer.echo(f"wrote {folder / 'asyncapi.yaml'}")
    for name in SERVICES if services else ():
        path = folder / "openapi" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(asyncio.run(openapi_text(name)), encoding="utf-8")
        typer.echo(f"wrote {path}")


async def openapi_text(name: str) -> str:
    """A running service's document as the file holds it."""
    async with service(name) as running:
        return json.dumps(await running.call("GET", "/openapi.json"), indent=2, ensure_ascii=False) + "\n"
