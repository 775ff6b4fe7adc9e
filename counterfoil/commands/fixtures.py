"""`counterfoil fixtures`: campaigns, stores, batches, and on demand register and ledger, as a folder of files.

Codes' texts and keys are in no dump: whoever loads one needs the same key ring, and gets the same codes.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from counterfoil.environment import CommandError
from counterfoil.printing import AsJson, codes_bar, print_json

app = typer.Typer(no_args_is_help=True)

DEMO: Final = Path(__file__).parents[1] / "fixtures" / "demo"
LEDGER_FILE: Final = "redemptions.csv"


@app.command("dump")
def dump(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is empty or not there yet")],
    register: Annotated[bool, typer.Option("--register", help="Also a row for every code: serial and store")] = False,
    ledger: Annotated[bool, typer.Option("--ledger", help="Also the ledger: redemptions and reversals")] = False,
    new_codes: Annotated[
        bool, typer.Option("--new-codes", help="Batches as orders: loads under any key ring, with new codes")
    ] = False,
    json: AsJson = False,
) -> None:
    """Writes the system's campaigns, stores, batches and voids into a folder, each service's part as of one moment."""
    if new_codes and (register or ledger):
        raise CommandError("--new-codes makes other codes where it is loaded; --register and --ledger tell of these ones")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandError(f"{folder} is not empty; name a folder that is empty or not there yet")
    with _growing(folder) as draft:
        manifest = asyncio.run(_dump(draft, register=register, ledger=ledger, new_codes=new_codes))
    rows = {name: file.rows for name, file in manifest.files.items()}
    if json:
        print_json({"folder": str(folder), "fingerprint": manifest.fingerprint, "rows": rows})
    else:
        typer.echo(f"{folder}: {', '.join(f'{name} {count:,}' for name, count in rows.items())}")


@app.command("load")
def load(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="The folder of a dump")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="The demo set that comes with counterfoil")] = False,
    ledger: Annotated[bool, typer.Option("--ledger/--no-ledger", help="The ledger too, where the dump has one")] = True,
    json: AsJson = False,
) -> None:
    """Loads a dump into an empty system, or says what is in the way. All other services learn of it by the topics."""
    if (folder is None) != demo:
        raise CommandError("name the folder of a dump, or say --demo")
    loaded = asyncio.run(_load(folder or DEMO, with_ledger=ledger))
    if json:
        print_json(loaded)
        return
    counts = ", ".join(f"{loaded[kind]:,} {kind}" for kind in ("campaigns", "stores", "batches", "codes", "voids", "outcomes"))
    typer.echo(f"loaded {counts}")
    if not loaded["announced"]:
        typer.echo("no codegen sends it to the other services yet; it does when it runs", err=True)


@contextmanager
def _growing(folder: Path) -> Iterator[Path]:
    """A folder beside that takes the name at the end: what is broken off leaves nothing under it."""
    draft = folder.absolute().with_name(f".{folder.absolute().name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        draft.replace(folder.absolute())
    finally:
        shutil.rmtree(draft, ignore_errors=True)


async def _dump(folder: Path, *, register: bool, ledger: bool, new_codes: bool) -> Any:
    """The ledger first: what it names is among the batches that are read after it."""
    from counterfoil.fixtures.manifest import write_manifest
    from services.codegen.app import dump_fixtures
    from services.redemption.app import dump_ledger

    if ledger:
        await dump_ledger(folder)
    await dump_fixtures(folder, register=register, new_codes=new_codes)
    return write_manifest(folder)


async def _load(folder: Path, *, with_ledger: bool) -> dict[str, Any]:
    """The ledger before the batches: no code can be redeemed again in between."""
    from counterfoil.fixtures.manifest import checked_manifest

    manifest = checked_manifest(folder)
    async with _codegen() as codegen, _redemption(wanted=with_ledger and LEDGER_FILE in manifest.files) as ledger:
        dump = codegen.read(folder)
        in_the_way = await codegen.obstacles() + (await ledger.obstacles(folder) if ledger else [])
        if in_the_way:
            raise CommandError(f"the system is not empty: {', '.join(in_the_way)}; a dump is loaded into an empty system only")
        outcomes = await ledger.load(folder) if ledger else 0
        with codes_bar(dump.codes, shown=dump.codes > 0) as on_codes:
            ids = await codegen.load(dump, subject=manifest.fingerprint, on_codes=on_codes)
        announced = await codegen.announced(ids)
    return {
        "campaigns": len(dump.campaigns),
        "stores": len(dump.stores),
        "batches": len(dump.batches) + len(dump.orders),
        "codes": dump.codes,
        "voids": len(dump.voids),
        "outcomes": outcomes,
        "announced": announced,
    }


@asynccontextmanager
async def _codegen() -> AsyncIterator[Any]:
    from services.codegen.app import Refused, fixture_loading

    try:
        async with fixture_loading() as commands:
            yield commands
    except Refused as refused:
        raise CommandError(str(refused)) from None


@asynccontextmanager
async def _redemption(*, wanted: bool) -> AsyncIterator[Any]:
    """None where the ledger is not wanted."""
    from services.redemption.app import CannotLoad, PlaceLost, UnreadableLedger, ledger_fixtures

    if not wanted:
        yield None
        return
    try:
        async with ledger_fixtures() as commands:
            yield commands
    except (CannotLoad, PlaceLost, UnreadableLedger) as error:
        raise CommandError(str(error)) from None
