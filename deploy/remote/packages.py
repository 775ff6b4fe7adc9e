"""Pinned packages on a host: fresh virtual environments, with packages that are fetched, checked and unpacked once a lock.

`<root>/packages/<lock>/<its digest>-<Python>` has what a lock names, unpacked by the pip of `requirements/pip.txt` in
`<root>/installer/<Python>`. An environment gets links to these files, which nothing ever writes to. So a release with the lock
of the one before is there in a second, takes no room, and needs no registry.
"""

import shlex
from typing import Final

from deploy.remote.host import Host

OPTIONS: Final = ("--quiet", "--disable-pip-version-check", "--no-input")
LOCKED: Final = ("--require-hashes", "--no-deps", "--only-binary", ":all:")
"""A lock names every package, so there is nothing to resolve."""

WHICH_PYTHON: Final = "import sys; print(sys.implementation.cache_tag)"
WHERE_PACKAGES: Final = "import sysconfig; print(sysconfig.get_path('purelib'))"


def fill(host: Host, environment: str, requirements: str, name: str, *, python: str) -> None:
    """Makes the virtual environment anew with what `<requirements>/<name>.txt` locks, each package checked by its hash.

    Packages only: what they bring as commands is run as a module.
    """
    unpacked = _unpacked(host, requirements, name, python=python)
    host.run(python, "-m", "venv", "--clear", "--without-pip", environment, what="making the virtual environment")
    packages = host.run(f"{environment}/bin/python", "-c", WHERE_PACKAGES, what="asking for the environment").strip()
    host.run("cp", "-al", f"{unpacked}/.", packages, what="linking the pinned packages")


def _unpacked(host: Host, requirements: str, name: str, *, python: str) -> str:
    """The folder that has every package of the lock, fetched if it must be. Those of the locks before it are deleted."""
    lock = f"{requirements}/{name}.txt"
    which = host.run(python, "-c", WHICH_PYTHON, what="asking for Python").strip()
    digest = host.run("sha256sum", lock, what="reading the lock").split()[0][:16]
    parent = f"{host.root}/packages/{name}"
    folder, whole = f"{parent}/{digest}-{which}", f"{parent}/{digest}-{which}.whole"
    if host.succeeds("test", "-e", whole):
        return folder
    pip = _installer(host, f"{host.root}/installer/{which}", requirements, python=python)
    host.shell(f"rm -rf {shlex.quote(parent)} && mkdir -p {shlex.quote(folder)}", what="making room for the packages")
    host.run(*pip, "install", *OPTIONS, *LOCKED, "--target", folder, "-r", lock, what="installing the pinned packages")
    host.run("touch", whole, what="finishing the packages")
    return folder


def _installer(host: Host, folder: str, requirements: str, *, python: str) -> tuple[str, ...]:
    """The command of the locked pip."""
    if not host.succeeds("test", "-x", f"{folder}/bin/pip"):
        host.run(python, "-m", "venv", "--clear", folder, what="making the installer's environment")
    pip = (f"{folder}/bin/python", "-m", "pip")
    host.run(*pip, "install", *OPTIONS, *LOCKED, "-r", f"{requirements}/pip.txt", what="installing the installer")
    return pip
