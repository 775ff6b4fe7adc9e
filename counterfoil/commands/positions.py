"""`counterfoil positions`: where redemption stands on each partition, and mending a partition that stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from counterfoil.environment import CommandError
from counterfoil.printing import AsJson, print_json, print_table
from services.redemption.app import NothingToMend, PlaceLost, RedemptionSettings, positions
from shared.environment import read_settings

app = typer.Typer(no_args_is_help=True)
COLUMNS: Final = ("partition", "epoch", "position", "log", "lag", "committed", "problem")


@app.command("show")
def show(json: AsJson = False) -> None:
    """Each partition's place next to its log, how far it is behind, and what is wrong where something is."""
    places = asyncio.run(_show())
    if json:
        print_json(places)
    else:
        print_table(COLUMNS, ({**place, "log": f"{place['first']}–{place['end']}"} for place in places))


@app.command("recover")
def recover(json: AsJson = False) -> None:
    """Postgres has lost commits: takes the outcomes that were published of them from the topic back into the ledger."""
    places = asyncio.run(_recover())
    if json:
        print_json(places)
        return
    for place in places:
        typer.echo(f"partition {place['partition']}: now at {place['position']}")


@app.command("skip")
def skip(partition: Annotated[int, typer.Option(help="The partition that stopped")], json: AsJson = False) -> None:
    """The log no longer holds the place: goes on at its first offset. What is skipped is recorded and was never decided."""
    first, end = asyncio.run(_skip(partition))
    if json:
        print_json({"partition": partition, "first": first, "end": end})
        return
    typer.echo(f"partition {partition}: offsets {first} to {end - 1} were skipped")


@app.command("new-epoch")
def new_epoch(
    force: Annotated[bool, typer.Option(help="Even if no partition shows that the topic was made anew")] = False,
    json: AsJson = False,
) -> None:
    """The request topic was deleted and made anew: publishes what was stored, then starts every partition at its beginning."""
    epoch = asyncio.run(_new_epoch(force=force))
    if json:
        print_json({"epoch": epoch})
    else:
        typer.echo(f"epoch {epoch} begins")


async def _show() -> list[dict[str, Any]]:
    async with _positions() as commands:
        return [asdict(place) for place in await commands.show()]


async def _recover() -> list[dict[str, Any]]:
    async with _positions() as commands:
        return [{"partition": place.partition, "position": place.position} for place in await commands.recover()]


async def _skip(partition: int) -> tuple[int, int]:
    async with _positions() as commands:
        skipped: tuple[int, int] = await commands.skip(partition)
        return skipped


async def _new_epoch(*, force: bool) -> int:
    async with _positions() as commands:
        epoch: int = await commands.new_epoch(force=force)
        return epoch


@asynccontextmanager
async def _positions() -> AsyncIterator[Any]:
    settings = read_settings(RedemptionSettings)
    try:
        async with positions(settings.kafka, settings.database_url) as commands:
            yield commands
    except (NothingToMend, PlaceLost) as error:
        raise CommandError(str(error)) from None
