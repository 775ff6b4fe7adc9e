"""Where the command line finds the system: the environment, and `.run/env` for what the environment does not say."""

import os
from pathlib import Path
from typing import Final

import typer

RUN_ENV: Final = Path(".run/env")
CHECKOUT: Final = Path(__file__).resolve().parents[1]


class CommandError(Exception):
    """A sentence for standard error; the command ends with a non-zero status."""


def run_folder() -> Path:
    """The run folder of the local system: the one that COUNTERFOIL_RUN names, as for `make up`; else the `.run` of this folder
    or the nearest above that a system was started in; else that of the checkout which this program is of."""
    if named := os.environ.get("COUNTERFOIL_RUN"):
        return Path(named).resolve()
    folders = (Path.cwd(), *Path.cwd().parents, CHECKOUT)
    return next((path for folder in folders if (path := folder / RUN_ENV).is_file()), CHECKOUT / RUN_ENV).parent


def load_run_env() -> None:
    """Adds the lines of the run folder's `env` to what is not set in the environment."""
    path = run_folder() / RUN_ENV.name
    if path.is_file():
        _add(path)


def variable(name: str, what_for: str) -> str:
    """The variable's value, or that of the file that NAME_FILE names. Raises CommandError saying what it is needed for."""
    value = os.environ.get(name) or _from_file(name)
    if not value:
        raise CommandError(f"{name} is not set; it is needed {what_for}. `make up` writes it to .run/env")
    return value


def fail(sentence: str) -> typer.Exit:
    """Prints the sentence to standard error, and gives what to raise."""
    typer.echo(f"counterfoil: {' '.join(sentence.split())}", err=True)
    return typer.Exit(1)


def _from_file(name: str) -> str | None:
    if f"{name}_FILE" not in os.environ:
        return None
    from shared.environment import with_secret_files

    return with_secret_files(os.environ).get(name)


def _add(path: Path) -> None:
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            os.environ.setdefault(name.strip(), value.strip().strip("'\""))
