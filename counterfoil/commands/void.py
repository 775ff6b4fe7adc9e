"""`counterfoil void`: codes that are to stop working."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from counterfoil.environment import CommandError
from counterfoil.http import Service, service
from counterfoil.printing import AsJson, print_json, print_table

app = typer.Typer(no_args_is_help=True)

Batch = Annotated[str | None, typer.Option(help="All codes of this batch")]
Campaign = Annotated[str | None, typer.Option(help="With --store: the store's codes in this campaign")]
Store = Annotated[str | None, typer.Option(help="With --campaign: the store")]
First = Annotated[int | None, typer.Option("--first-serial", help="With --last-serial: a range of serials, both within")]
Last = Annotated[int | None, typer.Option("--last-serial", help="With --first-serial: the range's end")]
Codes = Annotated[list[str] | None, typer.Option("--code", help="A code; repeatable")]
CodesFile = Annotated[Path | None, typer.Option("--codes-file", exists=True, dir_okay=False, help="A file with a code a line")]


@app.command("preview")
def preview(
    batch: Batch = None,
    campaign: Campaign = None,
    store: Store = None,
    first: First = None,
    last: Last = None,
    codes: Codes = None,
    codes_file: CodesFile = None,
    json: AsJson = False,
) -> None:
    """Tells how many codes a void would reach, and how many it would leave. Nothing is made."""
    target = _target(batch, campaign, store, first, last, codes, codes_file)
    found = asyncio.run(_preview(target))
    if json:
        print_json(found)
    else:
        typer.echo(_sentence(found))


@app.command("create")
def create(
    reason: Annotated[str, typer.Option(help="Why, for the audit log")],
    batch: Batch = None,
    campaign: Campaign = None,
    store: Store = None,
    first: First = None,
    last: Last = None,
    codes: Codes = None,
    codes_file: CodesFile = None,
    confirm: Annotated[
        int | None, typer.Option("--confirm-outstanding", help="The count of the preview; asked for at a terminal")
    ] = None,
    json: AsJson = False,
) -> None:
    """Makes what is outstanding void, if it is as many codes as were confirmed."""
    target = _target(batch, campaign, store, first, last, codes, codes_file)
    void = asyncio.run(_create(target, reason, confirm))
    if json:
        print_json(void)
    else:
        typer.echo(f"{void['id']}: {void['outstanding']:,} codes are void")


@app.command("list")
def show_all(json: AsJson = False) -> None:
    """Lists the voids that were made."""
    voids = asyncio.run(_list())
    if json:
        print_json(voids)
    else:
        print_table(("id", "outstanding", "voided_at", "voided_by", "reason"), voids)


def _target(
    batch: str | None,
    campaign: str | None,
    store: str | None,
    first: int | None,
    last: int | None,
    codes: list[str] | None,
    codes_file: Path | None,
) -> dict[str, Any]:
    listed = [*(codes or []), *(codes_file.read_text(encoding="utf-8").split("\n") if codes_file else [])]
    given = {
        "batch_id": batch,
        "campaign_id": campaign,
        "store_id": store,
        "first_serial": first,
        "last_serial": last,
        "codes": [code.strip() for code in listed if code.strip()] or None,
    }
    target = {field: value for field, value in given.items() if value is not None}
    if not target:
        raise CommandError("say which codes: --batch, --campaign with --store, --first-serial with --last-serial, or --code")
    return target


def _confirmed(found: Mapping[str, Any]) -> int:
    """The count that a person at the terminal types."""
    if not sys.stdin.isatty():
        raise CommandError(f"confirm it with --confirm-outstanding {found['outstanding']}: {_sentence(found)}")
    typer.echo(_sentence(found), err=True)
    return int(typer.prompt("Type the number of outstanding codes to make them void", type=int, err=True))


def _sentence(found: Mapping[str, Any]) -> str:
    counts = f"{found['outstanding']:,} outstanding, {found['redeemed']:,} redeemed, {found['already_void']:,} void already"
    return f"{counts}, as of {found['as_of']}"


async def _preview(target: Mapping[str, Any]) -> Any:
    async with service("codegen") as codegen:
        return await _preview_with(codegen, target)


async def _create(target: Mapping[str, Any], reason: str, confirm: int | None) -> Any:
    async with service("codegen") as codegen:
        count = confirm if confirm is not None else _confirmed(await _preview_with(codegen, target))
        return await codegen.call("POST", "/v1/voids", {**target, "reason": reason, "confirm_outstanding": count})


async def _preview_with(codegen: Service, target: Mapping[str, Any]) -> Any:
    return await codegen.call("POST", "/v1/voids/preview", target)


async def _list() -> list[Any]:
    async with service("codegen") as codegen:
        return await codegen.items("/v1/voids")
