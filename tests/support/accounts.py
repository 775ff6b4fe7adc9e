"""An account to deploy as: a temporary one of the machine's where root may make it, else whoever runs the tests."""

import getpass
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.debian import Need, find_program

USERADD: Final = Need(names=("useradd",), packages=("passwd",), unpacked=())
PYTHON_VENV: Final = Need(names=("python3",), packages=("python3", "python3-venv"), unpacked=())


@dataclass(frozen=True, slots=True, kw_only=True)
class TestAccount:
    """Who it is, and a folder of its own."""

    __test__ = False

    name: str
    uid: int
    home: Path

    @property
    def is_temporary(self) -> bool:
        return self.uid != os.geteuid()

    def own(self, *paths: Path) -> None:
        """Gives files and folders, with all in them, to the account."""
        for path in paths:
            for found in (path, *path.rglob("*")):
                shutil.chown(found, self.uid)


@contextmanager
def account_for_tests(folder: Path) -> Iterator[TestAccount]:
    """The account, with its home in the folder. A temporary one has no password and is gone after the block."""
    home = folder / "home"
    if os.geteuid() != 0:
        home.mkdir()
        yield TestAccount(name=getpass.getuser(), uid=os.geteuid(), home=home)
        return
    find_program(USERADD)
    folder.chmod(0o711)
    name = f"counterfoil-{os.getpid()}"
    # `*` is no password: `!`, which is usual, would lock the account for sshd.
    made = ("useradd", "--create-home", "--home-dir", str(home), "--shell", "/bin/sh", "--password", "*", name)
    subprocess.run(made, check=True, capture_output=True)
    try:
        yield TestAccount(name=name, uid=pwd.getpwnam(name).pw_uid, home=home)
    finally:
        subprocess.run(["userdel", "--force", name], check=True, capture_output=True)


def python_for(account: TestAccount) -> Path:
    """A Python with `venv` that the account may run: ours may lie in a home that is closed to it."""
    ours = Path(sys.base_prefix) / "bin" / "python3"
    if not account.is_temporary:
        return ours
    for python in (ours, Path("/usr/bin/python3"), Path("/usr/local/bin/python3")):
        tried = [str(python), "-c", "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"]
        try:
            if subprocess.run(tried, user=account.uid, cwd="/", capture_output=True, check=False).returncode == 0:
                return python
        except OSError:
            continue
    find_program(PYTHON_VENV)
    return Path("/usr/bin/python3")
