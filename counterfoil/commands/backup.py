"""`counterfoil backup|restore`: a service's schema to a file and back. Kafka and the key ring are kept elsewhere."""

import os
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from counterfoil import archives
from counterfoil.commands.operate import ServiceName
from counterfoil.environment import CommandError, variable
from shared.environment import SettingsError, read_code_keys

POLL_SECONDS: Final = 0.1
NEED_KEYS: Final = (ServiceName.CODEGEN, ServiceName.REDEMPTION)
AFTERWARDS: Final = {
    ServiceName.CODEGEN: "start codegen: it marks the register from the outcomes again and sends what the topics lack",
    ServiceName.REDEMPTION: "look at `counterfoil positions show`, run `counterfoil positions recover`, start redemption",
    ServiceName.RANKING: "start ranking: it folds on from the place in the back-up",
    ServiceName.REPORTING: "start reporting: it folds on from the place in the back-up",
}


def backup(
    name: Annotated[ServiceName, typer.Argument(help="The service")],
    file: Annotated[Path, typer.Argument(help="Where to; it must not be there yet")],
) -> None:
    """Writes a service's schema, as of now, into a file. The service goes on meanwhile."""
    if file.exists():
        raise CommandError(f"{file} is there already: give another name")
    database = _database(name)
    part = file.with_name(file.name + ".part")
    started = time.monotonic()
    try:
        _dump(database, part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    typer.echo(f"{file}: {name}, {file.stat().st_size:,} bytes in {time.monotonic() - started:.1f} s")
    if name in NEED_KEYS:
        typer.echo(_remind_of_keys())


def restore(
    name: Annotated[ServiceName, typer.Argument(help="The service")],
    file: Annotated[Path, typer.Argument(help="What `counterfoil backup` wrote", exists=True, dir_okay=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Yes, throw away what the schema holds now")] = False,
) -> None:
    """Puts a service's schema back as it is in the file, all or nothing. No copy of the service may run."""
    held = archives.content(file)
    if held != name:
        raise CommandError(f"{file} is a back-up of {held or 'nothing'}, not of {name}")
    if not replace:
        raise CommandError(f"this throws away what the schema {name} holds now: say --replace")
    database = _database(name)
    if sessions := archives.other_sessions(database):
        raise CommandError(f"{sessions} sessions of {name} are open: stop its copies first")
    with Console(stderr=True).status(f"Restoring {name} …"):
        archives.restore(database, file)
    typer.echo(f"{name} is as in {file}. Now {AFTERWARDS[name]}.")


def _database(name: ServiceName) -> archives.Database:
    return archives.Database(str(name), variable(f"{name.upper()}_DATABASE_URL", f"to reach the schema of {name}"))


def _dump(database: archives.Database, part: Path) -> None:
    part.touch(mode=0o600)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"Writing {database.schema}", total=None)
        process = archives.start_dump(database, part)
        try:
            while process.poll() is None:
                time.sleep(POLL_SECONDS)
                progress.update(task, completed=part.stat().st_size)
        except BaseException:
            process.kill()
            process.wait()
            raise
    archives.finish(process, f"{database.schema} could not be written")


def _remind_of_keys() -> str:
    """Without the key ring the register is numbers and no printed code can be read."""
    try:
        ids = ", ".join(key.id for key in read_code_keys(os.environ).keys)
    except SettingsError as error:
        return f"Keep the key ring as well, in another place than this file; it could not be looked at: {error}"
    where = os.environ.get("CODE_KEYS_FILE", "CODE_KEYS")
    return f"Keep the key ring as well, in another place than this file: the keys {ids} of {where}"
