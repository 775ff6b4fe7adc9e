"""`fab production deploy|rollback|status|targets`, `fab development deploy`: hosts and roles are in deploy/hosts.toml."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fabric import task

from deploy.remote.host import connected
from deploy.remote.releases import archive_of, linked, version_of
from deploy.remote.rollout import Rollout, rollout
from deploy.remote.settings import DeployFailed, Environment, read_environment
from deploy.remote.targets import TARGETS, write_targets

_chosen: list[Environment] = []
"""What the tasks `production` and `development` leave to the task after them."""


@task
def development(context: Any) -> None:
    """The development environment is meant: `fab development deploy`."""
    _choose("development")


@task
def production(context: Any) -> None:
    """The production environment is meant: `fab production deploy`."""
    _choose("production")


@task(help={"ref": "the commit, tag or branch to deploy"})
def deploy(context: Any, ref: str = "HEAD") -> None:
    """Deploys a commit: releases, migrations once, a rolling restart; taken back by itself when a copy is not ready."""
    with _rollout() as rolling:
        version, archive = rolling.environment.release_of(version_of(ref)), archive_of(ref)
        _say(f"deploying {version} to {', '.join(rolling.hosts)}")
        rolling.deploy(version, archive)
        _say(f"{version} is deployed")


@task
def rollback(context: Any) -> None:
    """Brings back the release before the current one."""
    with _rollout() as rolling:
        for host, version in rolling.roll_back().items():
            _say(f"{host} is back on {version}")


@task
def status(context: Any) -> None:
    """Says which release each host has and each copy runs. The exit status is 1 when a copy is not ready."""
    with _rollout() as rolling:
        for host in rolling.hosts.values():
            _say(f"{host.name}: current {linked(host)}, previous {linked(host, 'previous')}")
        all_ready = True
        for copy, release, ready in rolling.status():
            all_ready = all_ready and ready
            state = "does not run" if release is None else f"runs {release}, {'ready' if ready else 'not ready'}"
            _say(f"{copy.host}: {copy.name} {state}")
    if not all_ready:
        sys.exit(1)


@task(help={"folder": "where Prometheus reads its targets"})
def targets(context: Any, folder: str = str(TARGETS)) -> None:
    """Writes the addresses of every copy for Prometheus, a file a service. Needs no host."""
    try:
        for path in write_targets(_environment(), Path(folder)):
            _say(f"wrote {path}")
    except DeployFailed as failure:
        _end(failure)


@contextmanager
def _rollout() -> Iterator[Rollout]:
    try:
        environment = _environment()
        with connected(environment, environment.hosts) as hosts:
            yield rollout(environment, hosts, _say)
    except DeployFailed as failure:
        _end(failure)


def _environment() -> Environment:
    if not _chosen:
        raise DeployFailed("Say which environment is meant first: `fab production deploy`.")
    return _chosen[-1]


def _choose(name: str) -> None:
    try:
        _chosen.append(read_environment(name))
    except DeployFailed as failure:
        _end(failure)


def _end(failure: DeployFailed) -> None:
    for line in failure.lines:
        print(f"  | {line}", file=sys.stderr)
    sys.exit(str(failure))


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)
