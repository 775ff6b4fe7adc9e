"""The four services as processes: how many copies, with what environment, and waiting until they are ready."""

import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from deploy.local import ports, processes
from deploy.local.databases import SERVICES, url_variable
from deploy.local.failures import SetupFailed
from deploy.local.places import CHECKOUT, Places
from deploy.local.processes import Program
from deploy.local.progress import Progress
from deploy.local.state import State, save_state

USUAL_PORTS: Final[Mapping[str, int]] = {"codegen": 8101, "redemption": 8102, "ranking": 8103, "reporting": 8104}
READY_SECONDS: Final = 60.0
COPIES_VARIABLE: Final = "COUNTERFOIL_COPIES"
MOST_COPIES: Final = 32
NEED_CODE_KEYS: Final = ("codegen", "redemption")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One process of a service. All copies of a service share its address."""

    service: str
    program: Program

    @property
    def pid(self) -> int | None:
        return processes.living(self.program.pid_file)


def wanted_copies(environment: Mapping[str, str], last: Mapping[str, int]) -> dict[str, int]:
    """How many copies of each service: as COUNTERFOIL_COPIES says ("redemption=3 ranking=2"), else as last time, else one."""
    wanted = {service: last.get(service, 1) for service in SERVICES}
    for word in environment.get(COPIES_VARIABLE, "").replace(",", " ").split():
        service, _, count = word.partition("=")
        if service not in SERVICES or not count.isdigit() or not 1 <= int(count) <= MOST_COPIES:
            raise SetupFailed(
                f"{COPIES_VARIABLE} has {word!r}: write it like `redemption=3 ranking=2`, with 1 to {MOST_COPIES} copies each."
            )
        wanted[service] = int(count)
    return wanted


def service_settings(service: str, *, kafka: str, url: str, port: int, code_keys: Path) -> dict[str, str]:
    """What a service's process is told about this system. A living copy that was told the same is left as it is."""
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        url_variable(service): url,
        "HOST": ports.LOCAL,
        "PORT": str(port),
    }
    return {**settings, "CODE_KEYS_FILE": str(code_keys)} if service in NEED_CODE_KEYS else settings


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment (log levels, a service's own settings), without what only other processes should know."""
    endings = ("DATABASE_URL", "DATABASE_URL_FILE", "_TOKEN", "_PIDS", "_PID")
    beginnings = ("CODE_KEYS", "PLATFORM_")
    return {
        name: value for name, value in environment.items() if not name.endswith(endings) and not name.startswith(beginnings)
    }


def start_services(
    places: Places, state: State, settings: Mapping[str, Mapping[str, str]], copies: Mapping[str, int]
) -> dict[str, list[Copy]]:
    """The copies of each service, started. Living ones that were started with the same settings are left as they are."""
    _stop_surplus(places, copies)
    running = {
        service: [_ensure_copy(places, state, service, number, settings[service]) for number in range(1, copies[service] + 1)]
        for service in SERVICES
    }
    state.copies = dict(copies)
    save_state(places.state_file, state)
    return running


def wait_until_ready(running: Mapping[str, Sequence[Copy]], state: State, progress: Progress) -> None:
    """Returns when all copies are ready. Raises SetupFailed when one dies, or is alive but not ready after a minute."""
    deadline = time.monotonic() + READY_SECONDS
    for service, copies in running.items():
        with progress.step(service) as step:
            url = f"http://{ports.LOCAL}:{state.service_ports[service]}"
            _wait_until_ready(copies, state.service_ports[service], deadline)
            many = f", {len(copies)} copies" if len(copies) > 1 else ""
            step.done(f"ready on {url}{many}")


def living_pids(places: Places) -> dict[str, str]:
    """What `.run/env` says of the copies that live: `<SERVICE>_PIDS`, the first copy's first, with spaces between."""
    return {f"{service.upper()}_PIDS": " ".join(map(str, _living_pids(places, service))) for service in SERVICES}


def choose_service_ports(places: Places, state: State) -> None:
    """Keeps the port of a service that has a living copy; for the others the last one or the usual one, if it is free."""
    taken: set[int] = set()
    for service in SERVICES:
        last = state.service_ports.get(service, USUAL_PORTS[service])
        alive = any(processes.living(path) for path in pid_files(places, service))
        patience = ports.PATIENCE_SECONDS if service in state.service_ports else 0.0
        state.service_ports[service] = last if alive else ports.free_port(last, but_not=taken, patience_seconds=patience)
        taken.add(state.service_ports[service])


def pid_files(places: Places, service: str) -> list[Path]:
    """The pid files of all copies that were ever started and not stopped, in the order of their numbers."""
    return sorted((places.run / "pids").glob(f"{service}-[0-9]*"), key=_number)


def service_program(places: Places, service: str, number: int, environment: Mapping[str, str]) -> Program:
    """One copy of a service as a program to run."""
    return Program(
        name=f"{service}-{number}",
        command=[sys.executable, "-m", f"services.{service}"],
        environment=environment,
        folder=CHECKOUT,
        owner=places.run,
    )


def _ensure_copy(places: Places, state: State, service: str, number: int, settings: Mapping[str, str]) -> Copy:
    environment = {**without_secrets(os.environ), "PYTHONUNBUFFERED": "1", **settings}
    copy = Copy(service=service, program=service_program(places, service, number, environment))
    told = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()
    if copy.pid is None or state.started_with.get(copy.program.name) != told:
        processes.stop(copy.program)
        processes.start(copy.program)
        state.started_with[copy.program.name] = told
    return copy


def _number(pid_file: Path) -> int:
    return int(pid_file.name.rpartition("-")[2])


def _living_pids(places: Places, service: str) -> list[int]:
    return [pid for path in pid_files(places, service) if (pid := processes.living(path)) is not None]


def _stop_surplus(places: Places, copies: Mapping[str, int]) -> None:
    for service in SERVICES:
        for path in pid_files(places, service):
            if _number(path) > copies[service]:
                processes.stop(service_program(places, service, _number(path), {}))


def _wait_until_ready(copies: Sequence[Copy], port: int, deadline: float) -> None:
    """All copies listen, and as many answers in a row as would very likely meet each of them say that they are ready."""
    wanted, in_a_row = (1 if len(copies) == 1 else 4 * len(copies)), 0
    problem = "it does not listen yet"
    while in_a_row < wanted:
        for copy in copies:
            if copy.pid is None:
                raise processes.died(copy.program)
        if all(_listens(copy, port) for copy in copies):
            problem = _problem(port)
            in_a_row = 0 if problem else in_a_row + 1
        if in_a_row < wanted and problem:
            if time.monotonic() > deadline:
                raise SetupFailed(
                    f"{copies[0].service} is alive but not ready after {READY_SECONDS:.0f} s ({problem}): "
                    f"see {copies[0].program.log_file}, then run `make up` again."
                )
            time.sleep(processes.POLL_SECONDS)


def _listens(copy: Copy, port: int) -> bool:
    try:
        connections = psutil.Process(copy.pid).net_connections(kind="tcp")
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return ports.answers(port)
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)


def _problem(port: int) -> str:
    """Why `/readyz` does not say yes; empty when it does."""
    try:
        with urllib.request.urlopen(f"http://{ports.LOCAL}:{port}/readyz", timeout=5):
            return ""
    except urllib.error.HTTPError as error:
        return _reasons(error.read())
    except OSError as error:
        return f"it does not answer: {error}"


def _reasons(body: bytes) -> str:
    try:
        problems = json.loads(body).get("problems") or {}
    except ValueError:
        return "it says that it is not ready"
    return "; ".join(f"{name}: {reason}" for name, reason in problems.items()) if isinstance(problems, dict) else str(problems)
