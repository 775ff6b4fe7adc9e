"""Refusing to start what the machine has no room for."""

import shutil
from pathlib import Path
from typing import Final

import psutil

from deploy.local.failures import SetupFailed

MEMORY_NEEDED_BYTES: Final = 900_000_000
"""Kafka takes 370 MB, Postgres 100 to 300, each service about 80."""

DISK_NEEDED_BYTES: Final = 1_000_000_000
MEGABYTE: Final = 1_000_000
CONTROL_GROUP: Final = Path("/sys/fs/cgroup")


def require_room(folder: Path) -> None:
    """Raises SetupFailed when memory or the folder's disk is too small for Kafka, Postgres and the services."""
    disk = shutil.disk_usage(folder).free
    if disk < DISK_NEEDED_BYTES:
        raise SetupFailed(
            f"Only {disk // MEGABYTE} MB are free on the disk of {folder} and {DISK_NEEDED_BYTES // MEGABYTE} are needed: "
            "free some space (or set COUNTERFOIL_RUN to a folder on a larger disk), then run this again."
        )
    memory = available_memory_bytes()
    if memory < MEMORY_NEEDED_BYTES:
        raise SetupFailed(
            f"Only {memory // MEGABYTE} MB of memory are free and {MEMORY_NEEDED_BYTES // MEGABYTE} are needed: "
            "end other programs, or give this machine or container more, then run this again."
        )


def available_memory_bytes(control_group: Path = CONTROL_GROUP) -> int:
    """What can still be taken, by the machine and by the container's limit if it has one."""
    return min(int(psutil.virtual_memory().available), _left_in_control_group(control_group))


def _left_in_control_group(folder: Path) -> int:
    unlimited = 2**62
    try:
        limit = int((folder / "memory.max").read_text())
        used = int((folder / "memory.current").read_text())
        rows = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        droppable = {name: int(value) for name, value in rows}.get("inactive_file", 0)
    except (OSError, ValueError):
        return unlimited
    return max(0, limit - used + droppable)
