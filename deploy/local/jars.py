"""Kafka's jars: fetched one by one against a lock file, each checked by SHA-256 before it is used."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.failures import SetupFailed, told_by_sentence

LOCK_FILE: Final = Path(__file__).with_name("kafka.lock")
DOWNLOADS_AT_ONCE: Final = 8
ATTEMPTS: Final = 3
TIMEOUT_SECONDS: Final = 60
SYSTEM_CERTIFICATES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where systems keep the authorities that they trust, a company's own included; `requests` has a list of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One line of the lock file."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.group}.{self.artifact}-{self.version}.jar"


def locked_jars(lock_file: Path = LOCK_FILE) -> list[Jar]:
    """The jars of the lock file, in its order, which is the order of the class path."""
    jars = []
    for line in lock_file.read_text().splitlines():
        if line and not line.startswith("#"):
            coordinates, sha256 = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group=group, artifact=artifact, version=version, sha256=sha256))
    return jars


def fetch_jars(cache: Path, *, say: Callable[[str], None] = lambda _: None) -> list[Path]:
    """The paths of all jars, after fetching those that are missing or damaged. Safe to run twice at once.

    Raises SetupFailed when one cannot be had or is not what the lock says.
    """
    folder = cache / "kafka"
    jars = locked_jars()
    missing = [jar for jar in jars if not _is_whole(folder / jar.file_name, jar)]
    if missing:
        say(f"downloading {len(missing)} of Kafka's {len(jars)} jars")
        _trust_what_the_system_trusts()
        with told_by_sentence("downloading Kafka", folder):
            folder.mkdir(parents=True, exist_ok=True)
            _fetch_all(missing, folder)
    return [folder / jar.file_name for jar in jars]


def _fetch_all(jars: Sequence[Jar], folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix="part-") as part, ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as threads:
        for _ in threads.map(lambda jar: _fetch(jar, Path(part)).replace(folder / jar.file_name), jars):
            pass


def _fetch(jar: Jar, part: Path) -> Path:
    problem = ""
    for attempt in range(ATTEMPTS):
        cache = part / f"{jar.artifact}-{attempt}"
        try:
            path = _download(jar, cache)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            problem = type(error).__name__
        except RuntimeError as error:
            problem = (str(error).splitlines() or [type(error).__name__])[0]
        else:
            if path is not None and _is_whole(path, jar):
                return path
            problem = "it came damaged" if path is not None else "no repository has it"
        shutil.rmtree(cache, ignore_errors=True)
    raise SetupFailed(
        f"Kafka's {jar.artifact} {jar.version} could not be downloaded ({problem}): check the network "
        "(or HTTPS_PROXY), then run this again; what has come is kept."
    )


def _download(jar: Jar, cache: Path) -> Path | None:
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415, RUF100 (slow to import, needed once)

    context = MavenContext(resolver=PythonResolver(), repo_cache=cache, timeout=TIMEOUT_SECONDS)
    found = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    return Path(found) if found else None


def _trust_what_the_system_trusts() -> None:
    if "REQUESTS_CA_BUNDLE" not in os.environ and "CURL_CA_BUNDLE" not in os.environ:
        for path in SYSTEM_CERTIFICATES:
            if Path(path).is_file():
                os.environ["REQUESTS_CA_BUNDLE"] = path
                return


def _is_whole(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except OSError:
        return False
