"""`python -m tests.support.forked SOCKET`: runs `counterfoil` commands, each in a process of its own, forked from this one.

The libraries are loaded here, once: a command starts in a fraction of the time, and is as much alone as from a shell.
Nothing of ours is loaded before the fork, and no thread or event loop begun. It ends when its standard input does.
"""

import asyncio
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.local.places import CHECKOUT

LIBRARIES: Final = (
    "aiohttp",
    "aiokafka",
    "asyncpg",
    "cryptography.hazmat.primitives.ciphers",
    "msgspec",
    "numpy",
    "prometheus_client",
    "pydantic_settings",
    "rich.progress",
    "rich.table",
    "structlog",
    "typer",
    "zstandard",
)
COMMAND_SECONDS: Final = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Forking:
    """The running process, by its socket."""

    socket: Path

    async def counterfoil(self, *arguments: str, environment: Mapping[str, str], folder: Path) -> Ended:
        """Runs a command in a folder, beside others that run."""
        with tempfile.TemporaryDirectory(prefix="command-") as outputs:
            out, err = Path(outputs, "out"), Path(outputs, "err")
            told = {"arguments": arguments, "environment": dict(environment), "folder": str(folder)}
            reader, writer = await asyncio.open_unix_connection(self.socket)
            writer.write(json.dumps({**told, "out": str(out), "err": str(err)}).encode() + b"\n")
            try:
                status = int(await asyncio.wait_for(reader.readline(), COMMAND_SECONDS))
            finally:
                writer.close()
            return Ended(status=status, out=out.read_text(), err=err.read_text())


@contextmanager
def forking() -> Iterator[Forking]:
    """Starts it, and ends it with the block."""
    with tempfile.TemporaryDirectory(prefix="forked-") as folder:
        path = Path(folder, "socket")
        command = [sys.executable, "-m", "tests.support.forked", str(path)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"listens\n"
            try:
                yield Forking(path)
            finally:
                process.stdin.close()
                process.wait(timeout=30)


def serve(path: str) -> None:
    """Forks for each connection, until standard input ends."""
    for name in LIBRARIES:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        print("listens", flush=True)
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if listening not in ready:
                return
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _answer(connection)
            connection.close()


def _answer(connection: socket.socket) -> None:
    """Runs one command in another fork, and tells its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection, connection.makefile("rb") as asked:
        request = json.loads(asked.readline())
        pid = os.fork()
        if pid == 0:
            _become(request)
        _, ended = os.waitpid(pid, 0)
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(ended))
    os._exit(0)


def _become(request: Mapping[str, Any]) -> None:
    """This process is the command: its folder, environment, arguments and outputs."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, name in ((1, request["out"]), (2, request["err"])):
        os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["counterfoil", *request["arguments"]]
    status = 1
    try:
        importlib.import_module("counterfoil.__main__").main()
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
