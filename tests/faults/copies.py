"""Copies of the redemption service as processes, to be killed, paused and started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.local.places import CHECKOUT

SOON_GIVEN_AWAY: Final = {"REDEMPTION_SESSION_TIMEOUT_MILLISECONDS": "6000"}
"""The least that the broker allows by default: a killed copy's partitions go to another one after six seconds."""


@dataclass(slots=True, kw_only=True)
class Copies:
    """The copies of one test; whatever is left of them is killed at its end."""

    environment: Mapping[str, str]
    folder: Path
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)

    def start(self, module: str = "services.redemption", **environment: str) -> subprocess.Popen[bytes]:
        """Starts one, with further settings."""
        log = self.folder / f"copy-{len(self.logs) + 1}.log"
        self.logs.append(log)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("REDEMPTION_", "CODE_KEYS"))}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=CHECKOUT,
                env={**inherited, "PYTHONUNBUFFERED": "1", **SOON_GIVEN_AWAY, **self.environment, **environment},
                stdout=output,
                stderr=output,
            )
        self._running.append(process)
        return process

    def start_ailing(self, ailment: str = "", **environment: str) -> subprocess.Popen[bytes]:
        """Starts one that falls ill, in a group of its own: it owns every partition at once, whoever else does."""
        small = {"REDEMPTION_BATCH_RECORDS": "40", "REDEMPTION_PACE_MILLISECONDS": "0", "BATCH_BYTES": "20000"}
        return self.start("tests.faults.ailing_copy", AILMENT=ailment, GROUP="own", **{**small, **environment})

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL, and waits until it is gone."""
        process.kill()
        process.wait()

    def pause(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGSTOP)

    def resume(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGCONT)

    def end(self, process: subprocess.Popen[bytes], within_seconds: float) -> int:
        """SIGTERM; the exit status. Raises subprocess.TimeoutExpired when it takes longer."""
        process.terminate()
        return process.wait(within_seconds)

    def text(self) -> str:
        """All logs, for a failure's message."""
        return "\n".join(log.read_text(errors="replace") for log in self.logs)


@contextmanager
def copies_of(environment: Mapping[str, str], folder: Path) -> Iterator[Copies]:
    copies = Copies(environment=environment, folder=folder)
    try:
        yield copies
    finally:
        for process in copies._running:
            if process.poll() is None:
                process.kill()
            process.wait()
