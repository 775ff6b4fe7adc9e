"""`python -m deploy.local up|down|clean|status`."""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from deploy.local.databases import SERVICES
from deploy.local.down import clean, down, status
from deploy.local.failures import SetupFailed, told_by_sentence
from deploy.local.places import Places, default_places
from deploy.local.progress import Progress
from deploy.local.up import up

INTERRUPTED: Final = 130


def main(arguments: Sequence[str]) -> int:
    """Runs one command and returns the exit status: 0, 1 after a sentence on standard error, 2 for a wrong call."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(f"usage: python -m deploy.local {'|'.join(COMMANDS)}", file=sys.stderr)
        return 2
    places, progress = default_places(), Progress()
    try:
        with _alone(places, progress):
            return COMMANDS[arguments[0]](places, progress)
    except SetupFailed as failure:
        for line in failure.log_lines:
            print(f"  | {line}", file=sys.stderr)
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: `make up` goes on from here, `make down` ends what was started.", file=sys.stderr)
        return INTERRUPTED


def _up(places: Places, progress: Progress) -> int:
    written = up(places, os.environ, progress)
    print(f"\nReady in {progress.seconds:.1f} s. Open, with the tokens of {places.env_file}:")
    for service in SERVICES:
        print(f"  {service:<11}{written[f'{service.upper()}_URL']}")
    print(f"  {'Kafka':<11}{written['KAFKA_BOOTSTRAP_SERVERS']}\nLogs are in {places.run / 'logs'}; `make down` ends it all.")
    return 0


def _down(places: Places, progress: Progress) -> int:
    down(places, progress)
    return 0


def _clean(places: Places, progress: Progress) -> int:
    clean(places, progress)
    return 0


def _status(places: Places, progress: Progress) -> int:
    return 0 if status(places, progress) else 1


@contextmanager
def _alone(places: Places, progress: Progress) -> Iterator[None]:
    """One command at a time on one run folder; a second one waits."""
    with told_by_sentence("making the run folder", places.run):
        places.run.mkdir(mode=0o755, parents=True, exist_ok=True)
        lock = (places.run / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.line("Waiting", "another `make up` or `make down` is at work here …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


COMMANDS: Final[Mapping[str, Callable[[Places, Progress], int]]] = {
    "up": _up,
    "down": _down,
    "clean": _clean,
    "status": _status,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
