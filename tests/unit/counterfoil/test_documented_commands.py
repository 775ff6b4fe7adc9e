"""Every `counterfoil …` that a page names is a command that there is, with options that it has; so are settings."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.exceptions import TyperException

from counterfoil.__main__ import app
from deploy.local.places import CHECKOUT

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/adr/*.md", "deploy/**/*.md", "services/*/README.md", "counterfoil/README.md")
    for path in CHECKOUT.glob(pattern)
)
CODE = re.compile(r"^```[^\n]*\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"\b(?:KAFKA|CODEGEN|REDEMPTION|RANKING|REPORTING|HTTP|LOG|COUNTERFOIL)_[A-Z0-9_]*[A-Z0-9]\b")
ENDS = {"|", "||", "&&", ";", "…", "\\"}
STANDS_FOR = {"NUMBER": "1", "PARTITION": "1", "N": "1", "DAY": "2026-11-25", "FILE": __file__, "NAME": "identity"}


def _calls(text: str) -> Iterator[list[str]]:
    """What follows `counterfoil` in the code of a page, a list of words for each time."""
    for block, span in CODE.findall(text):
        for line in (block or span).replace("\\\n", " ").splitlines():
            words = _words(line)
            for at, word in enumerate(words):
                is_program = word == "counterfoil" or word.endswith("bin/counterfoil")
                if is_program and words[at - 1 : at] != ["-n"] and at + 1 < len(words):
                    yield list(_until_the_end(words[at + 1 :]))


def _words(line: str) -> list[str]:
    try:
        return shlex.split(re.sub(r"\$\([^)]*\)|[()]", "x", line), comments=True)
    except ValueError:
        return line.split()


def _until_the_end(words: list[str]) -> Iterator[str]:
    for word in words:
        if word in ENDS:
            return
        yield __file__ if word.endswith((".dump", ".csv")) else STANDS_FOR.get(word, word.rstrip(";,:"))


def _parse(words: list[str]) -> None:
    """Parses as the program would, without running it. A command that is named without arguments need only be there."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "get_command"):
        if not rest or rest[0].startswith("-") or rest[0] == "COMMAND":
            return
        found = command.get_command(None, rest.pop(0))
        assert found is not None, "there is no such command"
        command = found
    if rest:
        command.make_context("counterfoil", rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_command_of_a_page_can_be_called_as_it_stands_there(page: Path) -> None:
    wrong = []
    for words in _calls(page.read_text()):
        try:
            _parse(words)
        except (AssertionError, TyperException) as error:
            wrong.append(f"counterfoil {' '.join(words)}: {getattr(error, 'message', error)}")
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_setting_that_a_page_names_is_read_by_something(page: Path) -> None:
    settings = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", (CHECKOUT / "docs/settings.md").read_text()))
    sources = ("docker-compose.yml", "deploy/**/*.py", "counterfoil/**/*.py", "tests/support/*.py", "tests/bench/*.py")
    programs = [path for pattern in sources for path in CHECKOUT.glob(pattern)]
    read = settings.union(*(NAME.findall(path.read_text()) for path in programs))
    assert set(NAME.findall(page.read_text())) <= read


def test_commands_are_found_in_blocks_and_in_sentences() -> None:
    text = "Say `docker compose run cli counterfoil jobs list`.\n\n```\nx=$(a) && .venv/bin/counterfoil code X # why\n```\n"
    assert list(_calls(text)) == [["jobs", "list"], ["code", "X"]]
    assert not list(_calls("`kubectl -n counterfoil get pods`"))


@pytest.mark.parametrize("words", [["nothing"], ["positions", "skip", "1"], ["batch", "create", "x", "--wrong", "1"]])
def test_a_command_that_is_not_there_is_found_out(words: list[str]) -> None:
    with pytest.raises((AssertionError, TyperException)):
        _parse(words)
