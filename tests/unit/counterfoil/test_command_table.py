"""The table of commands: each can be loaded, and nothing is loaded before it is needed."""

import os
import subprocess
import sys

import pytest
import typer

from counterfoil.__main__ import COMMANDS, Commands, app

HEAVY = ("aiohttp", "aiokafka", "asyncpg", "numpy", "pydantic", "reportlab", "rich.console")


def counterfoil(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "counterfoil", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_can_be_loaded_and_explains_itself(name: str) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, Commands)
    command = group.get_command(None, name)
    assert command.help
    assert COMMANDS[name].sentence[0].isupper()


def test_help_lists_all_commands_without_loading_any() -> None:
    code = (
        "import sys; from counterfoil.__main__ import main; sys.argv = ['counterfoil', '--help']\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "[]"
    assert all(name in done.stdout for name in COMMANDS)


def test_a_mistake_is_one_line_and_a_status() -> None:
    for arguments in (["nothing"], ["batch", "create"], ["batch", "nothing"], ["keys", "list", "--wrong"]):
        done = counterfoil(*arguments)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("counterfoil: ")
        assert done.stderr.count("\n") == 1


def test_a_command_without_its_part_shows_its_help() -> None:
    done = counterfoil("batch")
    assert done.returncode == 2
    assert "Usage: counterfoil batch" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "number", "expected"),
    [
        ("counterfoil cam", "1", ["campaign"]),
        ("counterfoil batch cre", "2", ["create"]),
        ("counterfoil jobs ", "2", ["list", "run"]),
    ],
)
def test_the_shell_completes_names_through_the_table(words: str, number: str, expected: list[str]) -> None:
    done = counterfoil(_COUNTERFOIL_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=number)
    assert done.stdout.split() == expected


def test_the_shell_completes_options_of_commands() -> None:
    done = counterfoil(_COUNTERFOIL_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="counterfoil batch create --wa")
    assert '"--watch"' in done.stdout
