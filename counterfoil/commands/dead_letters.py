"""`counterfoil dead-letters`: records that were no requests, why, and sending them again once the cause is mended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

import orjson
import typer

from counterfoil.environment import CommandError
from counterfoil.printing import AsJson, print_json, print_table
from services.redemption.app import RedemptionSettings, dead_letters
from shared.environment import read_settings

app = typer.Typer(no_args_is_help=True)

SUMMARY: Final = ("number", "reason", "origin_partition", "origin_offset", "failed_at", "truncated", "detail")


@app.command("list")
def show_all(
    start: Annotated[int, typer.Option(help="From this number on")] = 0,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason")] = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a line, for scripts")] = False,
) -> None:
    """Lists dead letters, oldest first, without their values (which may hold whole codes)."""
    summaries = [_summary(letter) for letter in asyncio.run(_list(start, reason))]
    if not json:
        print_table(SUMMARY, summaries)
    for summary in summaries if json else ():
        print_json(summary)


@app.command("show")
def show(number: Annotated[int, typer.Argument(help="The dead letter's number, as listed")]) -> None:
    """Shows one dead letter with the record as it came. Its value may hold a whole code: mind where you show it."""
    letter = asyncio.run(_find(number))
    value = None if letter.value is None else letter.value.decode(errors="replace")
    key = None if letter.key is None else letter.key.decode(errors="replace")
    typer.echo(orjson.dumps({**_summary(letter), "key": key, "value": value}, option=orjson.OPT_INDENT_2).decode())


@app.command("replay")
def replay(
    numbers: Annotated[list[int] | None, typer.Argument(help="The dead letters' numbers")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that the topic holds")] = False,
    json: AsJson = False,
) -> None:
    """Sends the original records to the request topic again. What was decided meanwhile is answered, not done, again."""
    if bool(numbers) == every:
        raise CommandError("name the dead letters by number, or say --all")
    sent = asyncio.run(_replay(numbers))
    if json:
        print_json({"sent": sent})
    else:
        typer.echo(f"{sent} sent again")


def _summary(letter: Any) -> dict[str, Any]:
    return {name: getattr(letter, name) for name in SUMMARY}


async def _list(start: int, reason: str | None) -> list[Any]:
    async with _dead_letters() as commands:
        return [letter async for letter in commands.list(start=start) if reason in (None, letter.reason)]


async def _find(number: int) -> Any:
    async with _dead_letters() as commands:
        letter = await commands.show(number)
        if letter is None:
            raise CommandError(f"there is no dead letter {number}")
        return letter


async def _replay(numbers: list[int] | None) -> int:
    async with _dead_letters() as commands:
        letters = [letter async for letter in commands.list() if numbers is None or letter.number in numbers]
        missing = set(numbers or ()) - {letter.number for letter in letters}
        if missing:
            raise CommandError(f"there is no dead letter {', '.join(map(str, sorted(missing)))}; nothing was sent")
        sent: int = await commands.replay(letters)
        return sent


@asynccontextmanager
async def _dead_letters() -> AsyncIterator[Any]:
    async with dead_letters(read_settings(RedemptionSettings).kafka) as commands:
        yield commands
