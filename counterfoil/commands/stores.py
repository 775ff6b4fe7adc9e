"""`counterfoil stores`: the stores that hand out codes."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from counterfoil.environment import CommandError
from counterfoil.http import service
from counterfoil.printing import AsJson, print_json, print_table

app = typer.Typer(no_args_is_help=True)

CONTENT_TYPES: Final = {".csv": "text/csv", ".json": "application/json"}


@app.command("put")
def put(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A JSON list, or CSV with the fields' names on top")
    ],
    json: AsJson = False,
) -> None:
    """Adds and replaces stores, all or nothing. The same file again changes nothing."""
    content_type = CONTENT_TYPES.get(file.suffix.lower())
    if content_type is None:
        raise CommandError(f"{file} is neither .json nor .csv")
    done = asyncio.run(_put(file.read_bytes(), content_type))
    if json:
        print_json(done)
    else:
        typer.echo(f"{done['created']:,} created, {done['updated']:,} updated, {done['unchanged']:,} unchanged")


@app.command("list")
def show_all(json: AsJson = False) -> None:
    """Lists all stores."""
    stores = asyncio.run(_list())
    if json:
        print_json(stores)
    else:
        print_table(("id", "name", "chain", "region", "country", "peer_group", "hidden", "test", "paused"), stores)


async def _put(body: bytes, content_type: str) -> Any:
    async with service("codegen") as codegen:
        return await codegen.call("PUT", "/v1/stores", body, headers={"Content-Type": content_type})


async def _list() -> list[Any]:
    async with service("codegen") as codegen:
        return await codegen.items("/v1/stores")
