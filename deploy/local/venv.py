"""The virtual environment in `.venv`: made and filled from the locked requirements, once per lock.

Runs under the machine's own Python with nothing but the standard library: `python3 -m deploy.local.venv local|dev`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "counterfoil-stamp.json"
OLDEST_PYTHON = (3, 11)
FREE_BYTES = 1_500_000_000
INCLUDED = {"local": ("local",), "dev": ("dev", "local")}


class CannotPrepare(Exception):  # noqa: N818 (it is told to a person)
    """What is wrong and what to do about it, in one sentence; `lines` are what the failed program said last."""

    def __init__(self, sentence: str, lines: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.lines = lines


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    requirements = arguments[0] if arguments else "local"
    try:
        prepare(requirements)
    except CannotPrepare as failure:
        for line in failure.lines:
            print("  |", line, file=sys.stderr)
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; run this again to go on.", file=sys.stderr)
        return 130
    return 0


def prepare(requirements: str) -> None:
    """Makes `.venv` hold what `requirements/<name>.txt` locks, and this checkout itself. Does nothing when it does already."""
    if sys.version_info < OLDEST_PYTHON:
        raise CannotPrepare(
            "Python {}.{} is too old: install Python 3.11 or newer, or name one: `make PYTHON=/path/to/python3`.".format(
                *sys.version_info
            )
        )
    with _locked():
        if not _is_usable():
            _make()
        wanted = _wanted(requirements)
        if _stamped().get(requirements) == wanted:
            return
        started = time.monotonic()
        print(f"Python packages: installing requirements/{requirements}.txt (the first time takes a minute) …", flush=True)
        _install(requirements)
        _stamp({name: _wanted(name) for name in INCLUDED[requirements]})
        print(f"Python packages: installed ({time.monotonic() - started:.1f} s)", flush=True)


def cache_folder() -> Path:
    """Where downloads are kept; as deploy.local.places has it."""
    return Path(os.environ.get("COUNTERFOIL_CACHE") or CHECKOUT / ".cache").resolve()


def _locked() -> TextIO:
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        file = (cache_folder() / "venv.lock").open("w")
    except OSError as error:
        raise CannotPrepare(
            f"{cache_folder()} may not be written ({error.strerror}): change that or set COUNTERFOIL_CACHE."
        ) from error
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _is_usable() -> bool:
    try:
        answer = subprocess.run(
            [str(PYTHON), "-c", "import sys; print(sys.prefix, *sys.version_info[:2])"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return False
    return answer[0] == str(VENV) and (int(answer[1]), int(answer[2])) >= OLDEST_PYTHON


def _make() -> None:
    if shutil.disk_usage(CHECKOUT).free < FREE_BYTES:
        raise CannotPrepare(
            f"Only {shutil.disk_usage(CHECKOUT).free // 1_000_000} MB are free on the disk of {CHECKOUT}, and "
            f"{FREE_BYTES // 1_000_000} are needed: free some space, then run this again."
        )
    print(f"Virtual environment: making {VENV.name} …", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    result = _run([sys.executable, "-m", "venv", str(VENV)])
    if result.returncode == 0:
        return
    # Debian splits ensurepip off; the machine's own pip can fill an environment that has none.
    shutil.rmtree(VENV, ignore_errors=True)
    bare = _run([sys.executable, "-m", "venv", "--without-pip", str(VENV)])
    if bare.returncode or _run([sys.executable, "-m", "pip", "--version"]).returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        raise CannotPrepare(
            "Python cannot make virtual environments here: install its venv module (on Debian "
            "`apt install python3-venv`), then run this again.",
            _last(result),
        )


def _pip() -> list[str]:
    if _run([str(PYTHON), "-m", "pip", "--version"]).returncode == 0:
        return [str(PYTHON), "-m", "pip"]
    if _run([str(PYTHON), "-m", "ensurepip"]).returncode == 0:
        return [str(PYTHON), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(PYTHON)]


def _install(requirements: str) -> None:
    pip = [*_pip(), "--disable-pip-version-check", "--no-input", "install", "--quiet", "--progress-bar", "off"]
    locked = ["--require-hashes", "--no-deps"]
    # A lock names every package, so there is nothing to resolve; and a new pip reads the indexes in a third of the time.
    for what, arguments in (
        ("The installer", [*locked, "-r", _lock("pip")]),
        ("The locked packages", [*locked, "-r", _lock(requirements)]),
        ("This checkout", ["--no-build-isolation", "--no-deps", "-e", str(CHECKOUT)]),
    ):
        result = _run([*pip, *arguments])
        if result.returncode:
            said = result.stdout + result.stderr
            full = "No space left on device" in said
            advice = "free some disk space" if full else "check the network (or the proxy, or pip's configuration)"
            raise CannotPrepare(f"{what} could not be installed: {advice}, then run this again.", _last(result))


def _lock(requirements: str) -> str:
    return str(CHECKOUT / "requirements" / f"{requirements}.txt")


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {"PIP_CACHE_DIR": str(cache_folder() / "pip"), **os.environ}
    environment.pop("PYTHONPATH", None)
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def _last(result: subprocess.CompletedProcess[str]) -> list[str]:
    return (result.stdout + result.stderr).splitlines()[-12:]


def _wanted(requirements: str) -> str:
    digest = hashlib.sha256(str(CHECKOUT).encode())
    for file in (Path(_lock(requirements)), CHECKOUT / "pyproject.toml"):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _stamped() -> dict[str, str]:
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def _stamp(hashes: Mapping[str, str]) -> None:
    STAMP.write_text(json.dumps({**_stamped(), **hashes}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
