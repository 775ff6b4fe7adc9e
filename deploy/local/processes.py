"""Processes that outlive the shell which started them, each owned by a pid file.

A pid file holds the pid and the moment the process was started, so that a pid which the system has given to another
process since is never taken for ours, and never signalled.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from deploy.local.failures import SetupFailed

POLL_SECONDS: Final = 0.05
LOG_TAIL_LINES: Final = 15
MARKER: Final = "COUNTERFOIL_RUN_MARKER"
"""In the environment of everything that is started here: the run folder that it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom a process runs as, when it is not who starts it (only root may)."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run. `owner` is the run folder; `stop_signal` asks it to end in good order."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    owner: Path
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 20.0

    @property
    def pid_file(self) -> Path:
        return self.owner / "pids" / self.name

    @property
    def log_file(self) -> Path:
        return self.owner / "logs" / f"{self.name}.log"


def start(program: Program, *, ends_with_us: bool = False) -> int:
    """Starts the program in a session of its own and returns its pid. Its log starts anew; the one before is kept as `.1`.

    With `ends_with_us` the system ends it when the process that called this dies (Linux), as tests want it.
    """
    for path in (program.pid_file, program.log_file):
        path.parent.mkdir(parents=True, exist_ok=True)
    if program.log_file.exists():
        program.log_file.replace(program.log_file.with_name(program.log_file.name + ".1"))
    account = program.account
    with program.log_file.open("wb") as log:
        process = subprocess.Popen(
            list(program.command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=program.folder,
            env={**program.environment, MARKER: str(program.owner)},
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=_ends_with_parent(program.stop_signal) if ends_with_us else None,  # noqa: PLW1509 (one thread, no locks)
        )
    _write_pid_file(program.pid_file, process.pid)
    _children[process.pid] = process
    return process.pid


def living(pid_file: Path) -> int | None:
    """The pid in the file, if that very process still runs; else None."""
    try:
        pid_text, started = pid_file.read_text().split("\n", 1)
        pid = int(pid_text)
    except (OSError, ValueError):
        return None
    return pid if started.strip() and started.strip() == start_mark(pid) else None


def start_mark(pid: int) -> str | None:
    """Tells this process from every other that has had or will have its pid. None if it does not run (a zombie does not)."""
    child = _children.get(pid)
    if child is not None and (code := child.poll()) is not None:
        _exit_codes[pid] = code
        del _children[pid]
        return None
    if sys.platform == "linux":
        return _linux_start_mark(pid)
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None


def stop(program: Program) -> bool:
    """Ends the process of the program's pid file, forcibly if it does not end in time. False if none ran."""
    pid = living(program.pid_file)
    if pid is not None:
        end(pid, program.stop_signal, program.stop_seconds)
    program.pid_file.unlink(missing_ok=True)
    return pid is not None


def end(pid: int, with_signal: signal.Signals = signal.SIGTERM, seconds: float = 20.0) -> None:
    """Ends one process: asks it, waits, and after `seconds` kills it. It must be known to be ours."""
    mark = start_mark(pid)
    if mark is None:
        return
    for this_signal, wait_seconds in ((with_signal, seconds), (signal.SIGKILL, 10.0)):
        try:
            os.kill(pid, this_signal)
        except ProcessLookupError:
            return
        if _gone_within(pid, mark, wait_seconds):
            return
    raise SetupFailed(f"Process {pid} does not end even when killed: see what holds it with `ps -o stat,wchan,args -p {pid}`.")


def left_over(owner: Path) -> list[int]:
    """Pids of all processes that belong to the run folder, with or without a pid file, children of ours included."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == str(owner) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return [pid for pid in found if pid != os.getpid()]


def strays(owner: Path) -> list[int]:
    """Those of them that no pid file owns, nor any process that one owns: what a crash or a lost pid file left behind."""
    owned = {living(pid_file) for pid_file in (owner / "pids").glob("*")}
    return [pid for pid in left_over(owner) if not owned & {pid, *_ancestors(pid)}]


def last_lines(log_file: Path) -> tuple[str, ...]:
    """The end of a log, for a person."""
    try:
        with log_file.open("rb") as log:
            log.seek(max(0, log_file.stat().st_size - 20_000))
            return tuple(log.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:])
    except OSError:
        return ()


def says_within(program: Program, pid: int, words: bytes, seconds: float) -> bool:
    """Waits for words in the program's log; False when they do not come in time. Raises SetupFailed when the process dies."""
    deadline = time.monotonic() + seconds
    while words not in program.log_file.read_bytes():
        if living(program.pid_file) != pid:
            raise died(program)
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def died(program: Program) -> SetupFailed:
    """The failure to raise when the process of the program's pid file is gone."""
    pid_text = program.pid_file.read_text().split("\n", 1)[0] if program.pid_file.exists() else ""
    killed = pid_text.isdigit() and _exit_codes.get(int(pid_text)) == -signal.SIGKILL
    why = " (it was killed: too little memory is the usual reason)" if killed else ""
    return SetupFailed(
        f"{program.name} died{why}; its log is {program.log_file}: mend what it says, then run this again.",
        last_lines(program.log_file),
    )


_children: dict[int, "subprocess.Popen[bytes]"] = {}
_exit_codes: dict[int, int] = {}


def _ancestors(pid: int) -> list[int]:
    try:
        return [parent.pid for parent in psutil.Process(pid).parents()]
    except psutil.Error:
        return []


def _write_pid_file(pid_file: Path, pid: int) -> None:
    new = pid_file.with_name(f".{pid_file.name}.new")
    new.write_text(f"{pid}\n{start_mark(pid) or ''}\n")
    new.replace(pid_file)


def _linux_start_mark(pid: int) -> str | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    state, started_ticks = fields[0], fields[19]
    if state in "ZX" and not _has_other_threads(pid):
        return None
    return f"{_boot_id()} {started_ticks}"


def _has_other_threads(pid: int) -> bool:
    """A killed process whose first thread is gone already holds its ports until the last one is."""
    try:
        return len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{psutil.boot_time():.0f}"


def _gone_within(pid: int, mark: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while start_mark(pid) == mark:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _ends_with_parent(with_signal: signal.Signals) -> Callable[[], object] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    set_parent_death_signal = 1
    return lambda: libc.prctl(set_parent_death_signal, int(with_signal))


def command_line(pid: int) -> list[str]:
    """The arguments of a running process; empty if it is gone or not ours to see."""
    try:
        return psutil.Process(pid).cmdline()
    except (psutil.Error, OSError):
        return []
