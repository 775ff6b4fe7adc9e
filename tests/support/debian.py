"""Programs of the machine that some tests need: found on PATH, installed (root on Debian), or unpacked (anybody on Debian).

Unpacked ones stay in the cache folder; they run with the environment that comes with them. Elsewhere a test fails with a
sentence that names what is missing: nothing is skipped.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.places import default_cache

APT_SECONDS: Final = 600


class ProgramMissing(Exception):  # noqa: N818 (it is told to a person)
    """A program that the tests need is not here and cannot be had. The text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A program: its names on PATH, Debian's packages that have it, and the files that may be it once they are unpacked."""

    names: tuple[str, ...]
    packages: tuple[str, ...]
    unpacked: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundProgram:
    """Where the program is, and what its environment needs on top of the caller's."""

    path: Path
    environment: Mapping[str, str]


CHROMIUM: Final = Need(
    names=("chromium", "chromium-browser", "google-chrome"),
    packages=("chromium", "fonts-dejavu-core"),
    unpacked=("usr/lib/chromium/chromium",),
)
RUBY: Final = Need(names=("ruby",), packages=("ruby", "ruby-xmlrpc"), unpacked=("usr/bin/ruby", "usr/bin/ruby3*"))
REDIS: Final = Need(names=("redis-server",), packages=("redis-server",), unpacked=("usr/bin/redis-server",))
REDIS_BENCHMARK: Final = Need(names=("redis-benchmark",), packages=("redis-tools",), unpacked=("usr/bin/redis-benchmark",))
PROMETHEUS: Final = Need(names=("prometheus",), packages=("prometheus",), unpacked=("usr/bin/prometheus",))
PROMTOOL: Final = Need(names=("promtool",), packages=("prometheus",), unpacked=("usr/bin/promtool",))


def find_program(need: Need, *, cache: Path | None = None) -> FoundProgram:
    """The program, fetched if it must be. Raises ProgramMissing when it cannot be had here."""
    if found := _on_path(need):
        return found
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise ProgramMissing(
            f"The tests need {need.names[0]}, and this is no Debian to take it from: install it and put it on PATH."
        )
    if os.geteuid() == 0:
        return _installed(need)
    return _unpacked(need, (cache or default_cache()) / "debian")


def unpacked_program(need: Need, folder: Path) -> FoundProgram:
    """The program as it lies in a folder of unpacked packages. Raises ProgramMissing when it is not there."""
    for pattern in need.unpacked:
        for path in sorted(folder.glob(pattern)):
            return FoundProgram(path=path, environment=_environment(folder))
    raise ProgramMissing(f"The packages {' '.join(need.packages)} have no {need.names[0]}: install it and put it on PATH.")


def _on_path(need: Need) -> FoundProgram | None:
    for name in need.names:
        if path := shutil.which(name):
            return FoundProgram(path=Path(path), environment={})
    return None


def _installed(need: Need) -> FoundProgram:
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *need.packages]
    try:
        _run(install, need, environment=quietly)
    except ProgramMissing:
        _run(["apt-get", "update", "-q"], need, environment=quietly)
        _run(install, need, environment=quietly)
    found = _on_path(need)
    if found is None:
        raise ProgramMissing(f"apt-get installed {' '.join(need.packages)}, but {need.names[0]} is not on PATH: put it there.")
    return found


def _unpacked(need: Need, cache: Path) -> FoundProgram:
    folder = cache / "-".join(need.packages)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _unpack(need, folder, cache)
    return unpacked_program(need, folder)


def _unpack(need: Need, folder: Path, cache: Path) -> None:
    """Downloads the packages and what they need beyond what is installed, with package lists of our own."""
    archives, new = cache / "archives", cache / f"new-{os.getpid()}"
    for made in (cache / "lists" / "partial", archives, new):
        made.mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::State::Lists={cache / 'lists'}", "-o", f"Dir::Cache={cache}", "-o", "Debug::NoLocking=true"]
    _run(["apt-get", *options, "update", "-q"], need)
    plan = _run(["apt-get", *options, "install", "--simulate", "--no-install-recommends", *need.packages], need)
    wanted = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    _run(["apt-get", *options, "download", *wanted], need, folder=archives)
    for package in wanted:
        for archive in archives.glob(f"{package.partition(':')[0]}_*.deb"):
            _run(["dpkg", "-x", str(archive), str(new)], need)
    new.replace(folder)


def _environment(folder: Path) -> dict[str, str]:
    libraries = sorted({str(path.parent) for path in folder.glob("**/lib/**/*.so*") if path.is_file()})
    ruby = [
        str(path)
        for pattern in ("usr/lib/ruby/*", "usr/lib/*/ruby/*", "usr/share/rubygems-integration/all/gems/*/lib")
        for path in sorted(folder.glob(pattern))
        if path.is_dir()
    ]
    return {
        "LD_LIBRARY_PATH": ":".join(libraries),
        "PATH": f"{folder / 'usr/bin'}:{os.environ.get('PATH', '')}",
        **({"RUBYLIB": ":".join(ruby)} if ruby else {}),
        **({"FONTCONFIG_PATH": str(folder / "etc/fonts")} if (folder / "etc/fonts").is_dir() else {}),
    }


def _run(command: list[str], need: Need, *, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    result = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=APT_SECONDS, check=False
    )
    if result.returncode:
        said = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ProgramMissing(
            f"The tests need {need.names[0]}, and `{' '.join(command[:1])}` could not get it ({said}): "
            "check the network, or install it and put it on PATH."
        )
    return result.stdout
