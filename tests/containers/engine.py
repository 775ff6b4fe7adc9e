"""A Docker engine for the checks: the one that answers already, else Debian's, started here and ended with the checks.

Compose v2 is in no package of Debian 12, so it is built once from its Go module. What is built and imported stays in the cache.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local import processes
from deploy.local.processes import Program
from tests.support.debian import Need, ProgramMissing, find_program
from tests.support.polling import wait_until

COMPOSE_MODULE: Final = "github.com/docker/compose/v2"
COMPOSE_VERSION: Final = "v2.40.3"
COMPOSE_BUILD_SECONDS: Final = 1_200
START_SECONDS: Final = 60.0
IPTABLES: Final = Need(names=("iptables",), packages=("iptables",), unpacked=())
DOCKERD: Final = Need(names=("dockerd",), packages=("docker.io", "iptables"), unpacked=())
DEBOOTSTRAP: Final = Need(names=("debootstrap",), packages=("debootstrap",), unpacked=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """How to reach the engine. `ours`: it was started here, so it has no image but those that we make."""

    environment: Mapping[str, str]
    compose_command: tuple[str, ...]
    ours: bool

    def docker(self, *arguments: str, seconds: float = 600, folder: Path | None = None) -> str:
        """Runs `docker …` and returns what it printed. Fails with what it said."""
        return run(["docker", *arguments], environment=self.environment, seconds=seconds, folder=folder)

    def compose(self, *arguments: str, seconds: float = 600, environment: Mapping[str, str] | None = None) -> str:
        """Runs `docker compose …` likewise."""
        told = {**self.environment, **(environment or {})}
        return run([*self.compose_command, *arguments], environment=told, seconds=seconds)


@contextmanager
def running_engine(cache: Path) -> Iterator[Engine]:
    """The engine to use. Raises ProgramMissing where there is none and none can be started."""
    there = dict(os.environ)
    if _answers(["docker", "info"], there) and _answers(["docker", "compose", "version"], there):
        yield Engine(environment=there, compose_command=("docker", "compose"), ours=False)
        return
    if os.geteuid() != 0:
        raise ProgramMissing("No Docker engine answers here, and only root may start one: start one, or run this as root.")
    for need in (DOCKERD, IPTABLES, DEBOOTSTRAP):
        find_program(need)
    compose = _compose(cache)
    # Short, since the path of a socket may have 108 characters at most.
    folder = Path("/run/counterfoil-engine")
    folder.mkdir(parents=True, exist_ok=True)
    socket = f"unix://{folder}/docker.sock"
    program = _dockerd(cache, folder, socket)
    environment = {**os.environ, "DOCKER_HOST": socket, "DOCKER_BUILDKIT": "0"}
    try:
        processes.start(program, ends_with_us=True)
        wait_until(lambda: _answers(["docker", "info"], environment), START_SECONDS, what=f"dockerd ({program.log_file})")
        yield Engine(environment=environment, compose_command=(str(compose),), ours=True)
    finally:
        processes.stop(program)


def run(
    command: list[str], *, environment: Mapping[str, str] | None = None, seconds: float = 600, folder: Path | None = None
) -> str:
    """A command's standard output. Fails with the end of all that it said."""
    result = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
    assert result.returncode == 0, f"{' '.join(command)}: {(result.stdout + result.stderr)[-4_000:]}"
    return result.stdout


def _dockerd(cache: Path, folder: Path, socket: str) -> Program:
    command = ["dockerd", "--storage-driver=overlay2", f"--data-root={cache / 'engine'}", f"--exec-root={folder / 'exec'}"]
    return Program(
        name="dockerd",
        command=[*command, f"--pidfile={folder / 'docker.pid'}", f"--host={socket}"],
        environment=dict(os.environ),
        folder=cache,
        owner=cache,
        stop_seconds=60.0,
    )


def _compose(cache: Path) -> Path:
    """The path of `docker-compose`, built from its module: three minutes the first time."""
    built = cache / f"docker-compose-{COMPOSE_VERSION}"
    if built.exists():
        return built
    if shutil.which("go") is None:
        raise ProgramMissing("`docker compose` is not here and there is no Go to build it with: install one of the two.")
    module = cache / "compose"
    shutil.rmtree(module, ignore_errors=True)
    module.mkdir(parents=True)
    # A module of our own that requires it: `go install` refuses a module with `replace` lines.
    run(["go", "mod", "init", "compose"], folder=module)
    run(["go", "get", f"{COMPOSE_MODULE}/cmd@{COMPOSE_VERSION}"], folder=module)
    version = f"-s -w -X {COMPOSE_MODULE}/internal.Version={COMPOSE_VERSION}"
    build = ["go", "build", "-trimpath", "-ldflags", version, "-o", str(module / "docker-compose"), f"{COMPOSE_MODULE}/cmd"]
    run(build, folder=module, seconds=COMPOSE_BUILD_SECONDS)
    return (module / "docker-compose").rename(built)


def _answers(command: list[str], environment: Mapping[str, str]) -> bool:
    try:
        return subprocess.run(command, env=environment, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
