"""Where the command line finds the local system that `make up` started."""

import os
from pathlib import Path

import pytest

from counterfoil import environment
from counterfoil.environment import load_run_env, run_folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder without a system, with a checkout of its own."""
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(environment, "CHECKOUT", tmp_path / "checkout")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


def describe(run: Path) -> Path:
    run.mkdir(parents=True)
    (run / "env").write_text("RANKING_PIDS=1 2\nRANKING_DATABASE_URL=postgresql://db/x?a=b&c=d\n")
    return run


def test_it_is_that_of_the_nearest_folder_above_else_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_folder() == tmp_path / "checkout" / ".run"
    load_run_env()
    assert "RANKING_PIDS" not in os.environ
    theirs = describe(tmp_path / "checkout" / ".run")
    assert run_folder() == theirs
    ours = describe(tmp_path / "elsewhere" / ".run")
    (tmp_path / "elsewhere" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere" / "deep")
    assert run_folder() == ours


def test_it_is_the_one_that_make_up_was_told(tmp_path: Path) -> None:
    describe(tmp_path / "elsewhere" / ".run")
    os.environ["COUNTERFOIL_RUN"] = str(tmp_path / "another")
    load_run_env()
    assert "RANKING_PIDS" not in os.environ
    describe(tmp_path / "another")
    load_run_env()
    assert os.environ["RANKING_PIDS"] == "1 2"
    assert os.environ["RANKING_DATABASE_URL"] == "postgresql://db/x?a=b&c=d"
