"""What Prometheus has to scrape: the copies of the settings file, as files that it reads within seconds of a change."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.remote.settings import Environment

TARGETS: Final = Path(__file__).resolve().parents[1] / "prometheus" / "targets"


def write_targets(environment: Environment, folder: Path) -> Iterator[Path]:
    """Writes `<service>.json` for each role, in one step each, and gives the paths. A port in a host's name is ssh's."""
    folder.mkdir(parents=True, exist_ok=True)
    for service, role in environment.roles.items():
        addresses = [f"{host.partition(':')[0]}:{port}" for host in role.hosts for port in role.ports]
        path = folder / f"{service}.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps([{"targets": addresses}]) + "\n")
        new.replace(path)
        yield path
