"""`counterfoil`: the table of commands, and how errors end."""

import sys
from typing import Final

import typer

from counterfoil.commands import batch, dead_letters, demo, documents, keys, operate, positions, redeem, token
from counterfoil.environment import CommandError, fail, load_run_env
from shared.environment import SettingsError
from shared.lifecycle import is_unavailable
from shared.postgres.migrations import MigrationError

app: Final = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=(__doc__ or "").strip())
app.add_typer(batch.app, name="batch", help="Make batches of codes, watch them being made, export them.")
app.add_typer(keys.app, name="keys", help="The key ring that codes are made with.")
app.add_typer(token.app, name="token", help="Access tokens.")
app.add_typer(positions.app, name="positions", help="Where redemption stands on each partition, and mending one that stopped.")
app.add_typer(dead_letters.app, name="dead-letters", help="Records that were no requests.")
app.command("redeem")(redeem.redeem)
app.command("migrate")(operate.migrate)
app.command("topics")(operate.topics)
app.command("run")(operate.run)
app.command("documents")(documents.documents)
app.command("demo")(demo.demo)


def main() -> None:
    """The entry point: an expected error is one line on standard error and a non-zero status."""
    load_run_env()
    try:
        app(standalone_mode=True)
    except (CommandError, SettingsError, MigrationError) as error:
        sys.exit(fail(str(error)).exit_code)
    except Exception as error:
        if not is_unavailable(error):
            raise
        sys.exit(fail(f"a part of the system is away: {error}").exit_code)


if __name__ == "__main__":
    main()
