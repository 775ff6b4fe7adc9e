"""A deployment from its start to its end: releases made, migrations once, copies restarted one by one, or all taken back."""

import os
import shlex
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from deploy.remote import releases
from deploy.remote.host import Host
from deploy.remote.releases import Links
from deploy.remote.settings import Copy, DeployFailed, Environment
from deploy.remote.supervisors import Supervisor, supervisor_of

HOSTS_AT_ONCE: Final = 8
SLICE_SECONDS: Final = 1.0
"""After each it is asked whether the copy still is the same process."""

STARTS_TRIED: Final = 3
READY: Final = "ready"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The hosts of an environment, connected."""

    environment: Environment
    hosts: Mapping[str, Host]
    supervisor: Supervisor
    say: Say

    def deploy(self, version: str, archive: bytes) -> None:
        """Brings every copy to the version. Raises DeployFailed when one is not ready; all are back where they were then."""
        with self._alone():
            self._each_host(lambda host: self._prepare(host, version, archive))
            self._migrate(version)
            self._roll(dict.fromkeys(self.hosts, version))
            self._each_host(lambda host: releases.prune(host, keep=self.environment.keep))

    def roll_back(self) -> dict[str, str]:
        """Brings every host to its previous release and returns it by host. Schemas stay: migrations only ever add."""
        with self._alone():
            wanted = {}
            for name, host in self.hosts.items():
                previous = releases.linked(host, "previous")
                if previous is None:
                    raise DeployFailed(f"{name} has no release before the current one: deploy the version that you want.")
                wanted[name] = previous
            self._roll(wanted)
            return wanted

    def status(self) -> Iterator[tuple[Copy, str | None, bool]]:
        """Each copy, the release that it runs (None: it does not run), and whether it is ready."""
        for copy in self.environment.copies():
            host = self.hosts[copy.host]
            pid = self.supervisor.pid(host, copy)
            yield copy, _release_of(host, pid) if pid else None, pid is not None and not _problem(host, copy, seconds=0)

    def _prepare(self, host: Host, version: str, archive: bytes) -> None:
        made = releases.make(host, version, archive, python=self.environment.python, lock=self.environment.lock)
        self.say(f"{host.name}: release {version} {'made' if made else 'was there'}")

    def _migrate(self, version: str) -> None:
        """Each service's schema once, by the new release, on the first host of its role."""
        for service, role in self.environment.roles.items():
            host = self.hosts[role.hosts[0]]
            run_copy = f"{host.release(version)}/deploy/remote/run-copy"
            arguments = (f"{service}-0", host.environment_folder, "counterfoil", "migrate", service)
            done = host.run(run_copy, *arguments, what=f"migrating the schema of {service}").strip()
            self.say(f"{host.name}: migrations of {done}")

    def _roll(self, wanted: Mapping[str, str]) -> None:
        last = {name: releases.links_of(host) for name, host in self.hosts.items()}
        restarted: list[Copy] = []
        try:
            for name, host in self.hosts.items():
                releases.switch(host, wanted[name])
                self.supervisor.install(host, [copy for copy in self.environment.copies() if copy.host == name])
            for copy in self.environment.copies():
                restarted.append(copy)
                self._restart(copy)
        except DeployFailed as failure:
            back = self._take_back(last, restarted)
            raise DeployFailed(f"{failure} {back}", failure.lines) from failure

    def _take_back(self, last: Mapping[str, Links], restarted: Sequence[Copy]) -> str:
        """Returns every host to the release before, and every copy that was restarted. Says how that went."""
        if not all(links.current for links in last.values()):
            return "There is no release before it to go back to."
        for name, links in last.items():
            releases.set_links(self.hosts[name], links)
        problems = []
        for copy in reversed(restarted):
            try:
                self._restart(copy)
            except DeployFailed as failure:
                problems.append(str(failure))
        versions = ", ".join(sorted({str(links.current) for links in last.values()}))
        return " ".join([f"Everything was taken back to {versions}.", *problems])

    def _restart(self, copy: Copy) -> None:
        host = self.hosts[copy.host]
        self.supervisor.restart(host, copy)
        deadline = time.monotonic() + self.environment.ready_seconds
        seen = set()
        while problem := _problem(host, copy, seconds=SLICE_SECONDS):
            seen.add(self.supervisor.pid(host, copy))
            if len(seen) > STARTS_TRIED or time.monotonic() > deadline:
                state = "dies again and again" if len(seen) > STARTS_TRIED else "lives but is not ready in time"
                lines = (*self.supervisor.last_words(host, copy), problem)
                raise DeployFailed(f"{copy.name} on {copy.host} {state}.", lines)
        self.say(f"{copy.host}: {copy.name} is ready")

    def _each_host(self, step: Callable[[Host], object]) -> None:
        with ThreadPoolExecutor(HOSTS_AT_ONCE) as threads:
            list(threads.map(step, self.hosts.values()))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One deployment at a time, on every host."""
        who = f"{os.environ.get('USER', 'somebody')} on {socket.gethostname()}"
        locked: list[Host] = []
        try:
            for host in self.hosts.values():
                _lock(host, who)
                locked.append(host)
            yield
        finally:
            for host in locked:
                host.run("rm", "-rf", f"{host.root}/deploying", what="ending the deployment")


def rollout(environment: Environment, hosts: Mapping[str, Host], say: Say) -> Rollout:
    """A rollout over hosts that are connected."""
    return Rollout(environment=environment, hosts=hosts, supervisor=supervisor_of(environment), say=say)


def _lock(host: Host, who: str) -> None:
    host.run("mkdir", "-p", f"{host.root}/releases", what="making the root folder")
    lock = f"{host.root}/deploying"
    if not host.succeeds("mkdir", lock):
        by = host.shell(f"cat {shlex.quote(lock)}/who", what="reading who deploys", status_matters=False).strip()
        raise DeployFailed(
            f"A deployment is at work on {host.name} ({by or 'nobody said who'}): wait for it, or delete {lock} if it died."
        )
    host.put(f"{who}\n".encode(), f"{lock}/who")


def _problem(host: Host, copy: Copy, *, seconds: float) -> str:
    """Why the copy is not ready within the time; empty when it is."""
    command = (f"{host.current}/venv/bin/python", f"{host.current}/deploy/remote/wait_ready.py", str(copy.port), str(seconds))
    said = host.shell(f"{shlex.join(command)} && echo {READY}", what=f"waiting for {copy.name}", status_matters=False).strip()
    return "" if said == READY else said


def _release_of(host: Host, pid: int) -> str | None:
    folder = host.shell(f"readlink /proc/{pid}/cwd", what="asking for a process", status_matters=False).strip()
    return folder.rpartition("/")[2] or None
