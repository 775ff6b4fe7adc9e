"""`counterfoil`: the table of commands, and how errors end.

A command's module is imported when the command is called: a script that asks for one thing does not load the services for all.
"""

import importlib
import sys
from typing import Any, Final

import typer
from typer.core import TyperGroup

from counterfoil.environment import CommandError, fail, load_run_env

COMMANDS: Final = {
    "batch": ("batch", "app"),
    "dead-letters": ("dead_letters", "app"),
    "demo": ("demo", "demo"),
    "documents": ("documents", "documents"),
    "keys": ("keys", "app"),
    "migrate": ("operate", "migrate"),
    "positions": ("positions", "app"),
    "redeem": ("redeem", "redeem"),
    "run": ("operate", "run"),
    "token": ("token", "app"),
    "topics": ("operate", "topics"),
}
"""Command to module in `counterfoil.commands` and its typer application or function."""


class Commands(TyperGroup):
    """Finds commands in the table."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click's name)
        return sorted(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (click's name)
        if cmd_name not in COMMANDS:
            return None
        module_name, attribute = COMMANDS[cmd_name]
        module = importlib.import_module(f"counterfoil.commands.{module_name}")
        found = getattr(module, attribute)
        if isinstance(found, typer.Typer):
            found.info.help = _first_sentence(module.__doc__ or "")
            group = typer.main.get_group(found)
            group.name = cmd_name
            return group
        single = typer.Typer(add_completion=False)
        single.command(cmd_name)(found)
        return typer.main.get_command(single)


app: Final = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def counterfoil() -> None:
    """Campaigns of printed codes: make, redeem, operate. What the environment does not say is read from .run/env."""


def main() -> None:
    """The entry point: an expected error is one line on standard error and a non-zero status."""
    load_run_env()
    try:
        app()
    except CommandError as error:
        sys.exit(fail(str(error)).exit_code)
    except Exception as error:
        sentence = _expected(error)
        if sentence is None:
            raise
        sys.exit(fail(sentence).exit_code)


def _first_sentence(docstring: str) -> str:
    text = docstring.partition("`: ")[2].partition("\n")[0]
    return text[:1].upper() + text[1:]


def _expected(error: Exception) -> str | None:
    """The sentence of an error that a user can do something about, None for a fault of ours."""
    from shared.environment import SettingsError
    from shared.lifecycle import is_unavailable
    from shared.postgres.migrations import MigrationError

    if isinstance(error, SettingsError | MigrationError):
        return str(error)
    return f"a part of the system is away: {error}" if is_unavailable(error) else None


if __name__ == "__main__":
    main()
