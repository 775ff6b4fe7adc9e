"""Pinned packages on a host: fresh virtual environments, filled from wheels that are fetched once a lock.

`<root>/installer` is an environment with the pip of `requirements/pip.txt`; `<root>/wheels/<lock>/<its digest>` has what a
lock names. A release with the lock of the one before needs no registry.
"""

import shlex
from typing import Final

from deploy.remote.host import Host

WHOLE: Final = "whole"
OPTIONS: Final = ("--quiet", "--disable-pip-version-check", "--no-input")
LOCKED: Final = ("--require-hashes", "--no-deps", "--only-binary", ":all:")
"""A lock names every package, so there is nothing to resolve."""


def fill(host: Host, environment: str, requirements: str, name: str, *, python: str) -> None:
    """Makes the virtual environment anew with what `<requirements>/<name>.txt` locks, each package checked by its hash."""
    lock = f"{requirements}/{name}.txt"
    pip = _installer(host, requirements, python=python)
    wheels = _wheels(host, pip, lock, name)
    host.run(python, "-m", "venv", "--clear", "--without-pip", environment, what="making the virtual environment")
    from_wheels = ("--no-index", "--find-links", wheels)
    target = ("--python", f"{environment}/bin/python")
    host.run(*pip, *target, "install", *OPTIONS, *LOCKED, *from_wheels, "-r", lock, what="installing the pinned packages")


def _installer(host: Host, requirements: str, *, python: str) -> tuple[str, ...]:
    """The command of the locked pip. Made the first time; a pip that is there already costs half a second."""
    folder = f"{host.root}/installer"
    if not host.succeeds("test", "-x", f"{folder}/bin/pip"):
        host.run(python, "-m", "venv", "--clear", folder, what="making the installer's environment")
    pip = (f"{folder}/bin/python", "-m", "pip")
    host.run(*pip, "install", *OPTIONS, *LOCKED, "-r", f"{requirements}/pip.txt", what="installing the installer")
    return pip


def _wheels(host: Host, pip: tuple[str, ...], lock: str, name: str) -> str:
    """The folder that has every wheel of the lock, fetched if it must be. Those of the locks before it are deleted."""
    digest = host.run("sha256sum", lock, what="reading the lock").split()[0][:16]
    parent = f"{host.root}/wheels/{name}"
    folder = f"{parent}/{digest}"
    if host.succeeds("test", "-e", f"{folder}/{WHOLE}"):
        return folder
    host.shell(f"rm -rf {shlex.quote(parent)} && mkdir -p {shlex.quote(folder)}", what="making room for the wheels")
    host.run(*pip, "download", *OPTIONS, *LOCKED, "-r", lock, "-d", folder, what="fetching the pinned packages")
    host.run("touch", f"{folder}/{WHOLE}", what="finishing the wheels")
    return folder
