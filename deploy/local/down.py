"""`make down`, `make clean` and the status: ending what `make up` started, to the last process."""

import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Final

from deploy.local import ports, postgres, processes
from deploy.local.databases import SERVICES
from deploy.local.failures import told_by_sentence
from deploy.local.places import Places
from deploy.local.progress import Progress
from deploy.local.services import pid_files
from deploy.local.state import State, load_state
from deploy.local.up import end_strays, service_urls

STOP_SECONDS: Final = 20.0


def down(places: Places, progress: Progress) -> None:
    """Ends every process of this system, the services first. Data stay."""
    with progress.step("Services") as step:
        ended = _end_all([path for service in SERVICES for path in pid_files(places, service)], SIGTERM)
        step.done(f"{ended} ended" if ended else "none ran")
    for name, stop_signal in (("Postgres", postgres.STOP_SIGNAL), ("Kafka", SIGTERM)):
        with progress.step(name) as step:
            step.done("ended" if _end_all([places.run / "pids" / name.lower()], stop_signal) else "did not run")
    end_strays(places, progress)


def clean(places: Places, progress: Progress) -> None:
    """`down`, and deletes data, logs, keys and passwords. What was downloaded stays; so does what is on others' servers."""
    if not places.state_file.exists():
        progress.line("Data", f"nothing of ours is in {places.run}")
        return
    down(places, progress)
    with told_by_sentence("deleting the data", places.run), progress.step("Data") as step:
        account = postgres.server_account() if os.geteuid() == 0 else None
        for folder in (postgres.data_folder(places.run, account), places.run):
            if folder.exists():
                shutil.rmtree(folder)
        step.done("deleted")


def status(places: Places, progress: Progress) -> bool:
    """Prints a line per process. Returns whether all that `make up` started still run."""
    state = load_state(places.state_file)
    names = [("kafka", _kafka_address(state)), ("postgres", f"{ports.LOCAL}:{state.postgres_port}")]
    found = [(places.run / "pids" / name, address) for name, address in names]
    found += [(path, url) for service, url in service_urls(state).items() for path in pid_files(places, service)]
    started = [(path, address) for path, address in found if path.exists()]
    for path, address in started:
        pid = processes.living(path)
        progress.line(path.name, f"runs (process {pid}) on {address}" if pid else "died; `make up` starts it again")
    if not started:
        progress.line("System", "does not run; `make up` starts it")
    return bool(started) and all(processes.living(path) for path, _ in started)


def _end_all(files: Iterable[Path], stop_signal: Signals) -> int:
    """Ends the processes of the pid files at the same time. Returns how many ran."""

    def end(pid_file: Path) -> bool:
        pid = processes.living(pid_file)
        if pid is not None:
            processes.end(pid, stop_signal, STOP_SECONDS)
        pid_file.unlink(missing_ok=True)
        return pid is not None

    with ThreadPoolExecutor(8) as threads:
        return sum(threads.map(end, files))


def _kafka_address(state: State) -> str:
    return f"{ports.LOCAL}:{state.kafka_port}"
