"""Releases on a host: side by side under `releases/`, one of them `current`, the one before it `previous`."""

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.places import CHECKOUT
from deploy.remote import packages
from deploy.remote.host import Host
from deploy.remote.settings import DeployFailed

SHIPPED: Final = ("counterfoil", "deploy", "services", "shared", "requirements", "pyproject.toml")
WHOLE: Final = "whole"
"""A file in a release that was made to its end. One without it is made anew."""


def version_of(ref: str, checkout: Path = CHECKOUT) -> str:
    """The name of a commit's release, as git describes it: `v1.2.0`, `v1.2.0-3-gabc1234`, or the bare hash without tags."""
    return _git(checkout, "describe", "--tags", "--always", f"{ref}^{{commit}}").decode().strip().replace("/", "-")


def archive_of(ref: str, checkout: Path = CHECKOUT) -> bytes:
    """What runs of a commit, as tar.gz. What is not committed is not in it."""
    return _git(checkout, "archive", "--format=tar.gz", ref, *SHIPPED)


def make(host: Host, version: str, archive: bytes, *, python: str, lock: str) -> bool:
    """Unpacks the release and fills a virtual environment of its own by the lock. Returns whether it had to."""
    release = host.release(version)
    if host.succeeds("test", "-e", f"{release}/{WHOLE}"):
        return False
    host.run("rm", "-rf", release, what="clearing an unfinished release")
    host.run("mkdir", "-p", release, f"{host.root}/logs", what="making the release's folder")
    packed = f"{release}/release.tar.gz"
    host.put(archive, packed)
    host.run("tar", "-xzf", packed, "-C", release, what="unpacking the release")
    packages.fill(host, f"{release}/venv", f"{release}/requirements", lock, python=python)
    host.shell(f"rm {shlex.quote(packed)} && touch {shlex.quote(f'{release}/{WHOLE}')}", what="finishing the release")
    return True


def linked(host: Host, link: str = "current") -> str | None:
    """The version that `current` or `previous` leads to, None where it leads nowhere."""
    found = host.shell(f"readlink {shlex.quote(f'{host.root}/{link}')}", what="reading a link", status_matters=False).strip()
    return Path(found).name if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where a host's links lead."""

    current: str | None
    previous: str | None


def links_of(host: Host) -> Links:
    """As they are now."""
    return Links(current=linked(host), previous=linked(host, "previous"))


def switch(host: Host, version: str) -> None:
    """Lets `current` lead to the version, at once, and `previous` to what it led to."""
    last = linked(host)
    if last != version:
        set_links(host, Links(current=version, previous=last))


def set_links(host: Host, links: Links) -> None:
    """Lets both lead there; one that shall lead nowhere is left as it is."""
    for name, version in (("previous", links.previous), ("current", links.current)):
        if version is not None:
            _link(host, version, name)


def prune(host: Host, *, keep: int) -> list[str]:
    """Deletes all but the newest releases; `current` and `previous` are never deleted. Returns what went."""
    listed = host.run("ls", "-1t", f"{host.root}/releases", what="listing the releases").split()
    kept = {*listed[:keep], linked(host), linked(host, "previous")}
    gone = [version for version in listed if version not in kept]
    for version in gone:
        host.run("rm", "-rf", host.release(version), what="deleting an old release")
    return gone


def _link(host: Host, version: str, link: str) -> None:
    path = shlex.quote(f"{host.root}/{link}")
    target = shlex.quote(f"releases/{version}")
    host.shell(f"ln -sfn {target} {path}.new && mv -T {path}.new {path}", what=f"setting {link}")


def _git(checkout: Path, *arguments: str) -> bytes:
    result = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, check=False)
    if result.returncode:
        said = result.stderr.decode(errors="replace").strip()
        raise DeployFailed(f"git {arguments[0]} failed ({said}): name a commit that this checkout has.")
    return result.stdout
