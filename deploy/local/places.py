"""Where things are: the checkout, its run folder (data, logs, pid files, secrets) and the cache of what was downloaded."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]


def default_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """What was downloaded, kept by `make clean`. `COUNTERFOIL_CACHE` puts it elsewhere, for several checkouts to share."""
    return Path(environment.get("COUNTERFOIL_CACHE") or CHECKOUT / ".cache").resolve()


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The folders of one local system."""

    run: Path
    cache: Path

    @property
    def env_file(self) -> Path:
        return self.run / "env"

    @property
    def state_file(self) -> Path:
        return self.run / "state.json"

    @property
    def key_ring(self) -> Path:
        return self.run / "code-keys.json"


def default_places(environment: Mapping[str, str] = os.environ) -> Places:
    """The checkout's own system. `COUNTERFOIL_RUN` puts its run folder elsewhere."""
    run = Path(environment.get("COUNTERFOIL_RUN") or CHECKOUT / ".run").resolve()
    return Places(run=run, cache=default_cache(environment))
