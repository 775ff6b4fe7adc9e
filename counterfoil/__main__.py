"""`counterfoil`: the table of commands, and how errors end.

A command's module is imported when the command is called: a script that asks for one thing does not load the services for all.
Help and completion of the table itself import none of them.
"""

import errno
import importlib
import os
import sys
from dataclasses import dataclass
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from counterfoil.environment import CommandError, fail, load_run_env

STOPPED: Final = 130
FULL: Final = (errno.ENOSPC, errno.EDQUOT)
PLAIN_HELP: Final = None
"""Help without rich, whose import takes longer than most commands."""


@dataclass(frozen=True, slots=True)
class Command:
    """Module in `counterfoil.commands`, its typer application or function, and the line of the help."""

    module: str
    attribute: str
    sentence: str


COMMANDS: Final = {
    "backup": Command("backup", "backup", "Writes a service's schema, as of now, into a file"),
    "batch": Command("batch", "app", "Codes: ask for them, watch them being made, publish, take them away as CSV"),
    "campaign": Command("campaign", "app", "Campaigns: make, list, pause, extend, archive"),
    "code": Command("code", "code", "The story of a code: batch, store, state, redemptions, void"),
    "config": Command("config", "app", "Whether the environment is fine, and the table of all settings"),
    "dead-letters": Command("dead_letters", "app", "Records that were no requests: look, and send them again"),
    "demo": Command("demo", "demo", "Plays a campaign on the running system"),
    "documents": Command("documents", "documents", "Writes the documents that are generated from the code's types"),
    "fixtures": Command("fixtures", "app", "A whole set-up as a folder of files: dump it, load it into an empty system"),
    "jobs": Command("jobs", "app", "Work that can be run by hand: list, run"),
    "keys": Command("keys", "app", "The key ring's file: a new key, ids and check values"),
    "migrate": Command("operate", "migrate", "Brings the services' schemas up to date"),
    "positions": Command("positions", "app", "Where redemption stands on each partition, and mending one that stopped"),
    "redeem": Command("redeem", "redeem", "Redeems a code, as a platform would"),
    "restore": Command("backup", "restore", "Puts a service's schema back as it is in a file"),
    "run": Command("operate", "run", "Runs a service in the foreground"),
    "sbom": Command("sbom", "sbom", "What this installation is made of, as CycloneDX, with licences"),
    "stores": Command("stores", "app", "Stores: put a file of them, list"),
    "token": Command("token", "app", "Tokens: the first one, others, the end of one"),
    "topics": Command("operate", "topics", "Makes the topics that are not there yet"),
    "verify-certificate": Command("verify_certificate", "verify_certificate", "Counts a certified table again"),
    "void": Command("void", "app", "Makes codes unusable: what it would reach, and doing it"),
}


class Commands(TyperGroup):
    """Finds commands in the table."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click's name)
        return sorted(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (click's name)
        if cmd_name not in COMMANDS:
            return None
        command = COMMANDS[cmd_name]
        _keep_logs_apart()
        found = getattr(importlib.import_module(f"counterfoil.commands.{command.module}"), command.attribute)
        return _group(found, cmd_name, command.sentence) if isinstance(found, typer.Typer) else _single(found, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (click's name)
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].sentence) for name in sorted(COMMANDS)])

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Names with their sentences, then this group's own options."""
        options = super(TyperGroup, self).shell_complete(ctx, incomplete)
        return [_completion(name) for name in sorted(COMMANDS) if name.startswith(incomplete)] + options


app: Final = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=PLAIN_HELP)


@app.callback()
def counterfoil() -> None:
    """Campaigns of printed codes: make, redeem, operate. What the environment does not say is read from .run/env."""


def main() -> None:
    """The entry point: an expected error is one line on standard error and a non-zero status."""
    load_run_env()
    try:
        sys.exit(app(prog_name="counterfoil", standalone_mode=False))
    except TyperException as error:
        sys.exit(_misused(error))
    except typer.Abort:
        sys.exit(fail("stopped").exit_code)
    except CommandError as error:
        sys.exit(fail(str(error)).exit_code)
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        sentence = _expected(error)
        if sentence is None:
            raise
        sys.exit(fail(sentence).exit_code)


def _keep_logs_apart() -> None:
    """Parts of services that run within a command log errors alone, each a line on standard error.

    What ends the command is left out: it becomes the command's sentence, without a trace that could show values. So is what
    Kafka's client says of each attempt to reach it.
    """
    import logging

    import structlog

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    def leave_out_what_is_raised(_logger: Any, _method: str, event: Any) -> Any:
        if event.get("exc_info"):
            raise structlog.DropEvent
        return event

    structlog.configure(
        processors=[leave_out_what_is_raised, structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.make_filtering_bound_logger("error"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _group(found: typer.Typer, name: str, sentence: str) -> Any:
    found.info.help, found.rich_markup_mode = sentence, PLAIN_HELP
    group = typer.main.get_group(found)
    group.name = name
    return group


def _single(function: Any, name: str) -> Any:
    single = typer.Typer(add_completion=False, rich_markup_mode=PLAIN_HELP)
    single.command(name)(function)
    return typer.main.get_command(single)


def _completion(name: str) -> Any:
    from typer._click.shell_completion import CompletionItem

    return CompletionItem(name, help=COMMANDS[name].sentence)


def _misused(error: TyperException) -> int:
    """A command that was called without what it needs shows its help; anything else is a sentence."""
    message = error.format_message()
    if message.startswith("Usage:"):
        typer.echo(message, err=True)
    else:
        fail(f"{message} (see --help)")
    return error.exit_code


def _expected(error: Exception) -> str | None:
    """The sentence of an error that a user can do something about, None for a fault of ours.

    A file that cannot be read or written is an OSError as a system that is away is one: it has a name, or the disk is full.
    """
    from shared.environment import SettingsError
    from shared.lifecycle import is_unavailable
    from shared.postgres.errors import refusal
    from shared.postgres.migrations import MigrationError

    if isinstance(error, SettingsError | MigrationError):
        return str(error)
    if isinstance(error, OSError) and (error.filename is not None or error.errno in FULL):
        return f"{error.filename or 'what is to be written'}: {error.strerror}"
    return refusal(error) or (f"a part of the system is away: {error}" if is_unavailable(error) else None)


if __name__ == "__main__":
    main()
