"""One host, reached over ssh: commands, files, and where things are on it."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import paramiko
from fabric import Connection

from deploy.remote.settings import DeployFailed, Environment

CONNECT_SECONDS: Final = 15
LINES_KEPT: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """An open connection and the environment's folders on the host."""

    name: str
    connection: Connection
    root: str
    environment_folder: str

    @property
    def current(self) -> str:
        return f"{self.root}/current"

    def release(self, version: str) -> str:
        """The folder of a version: the checkout's files, and its virtual environment in `venv`."""
        return f"{self.root}/releases/{version}"

    def env_file(self, service: str) -> str:
        """Lines of NAME=value: the settings and secrets of a service on this host."""
        return f"{self.environment_folder}/{service}.env"

    def run(self, *command: str, what: str) -> str:
        """Runs a command given word by word. Raises DeployFailed, saying `what` was being done, when it fails."""
        return self.shell(shlex.join(command), what=what)

    def shell(self, script: str, *, what: str, status_matters: bool = True) -> str:
        """Runs a line of shell, in which words from outside must be quoted. As `run`; a status may be no matter."""
        result = self._run(script, what)
        if status_matters and result.return_code:
            lines = tuple((result.stdout + result.stderr).splitlines()[-LINES_KEPT:])
            raise DeployFailed(f"{what} failed on {self.name}: mend what it says, then run this again.", lines)
        return str(result.stdout)

    def succeeds(self, *command: str) -> bool:
        """Whether a command ends with status 0."""
        return bool(self._run(shlex.join(command), "a question").return_code == 0)

    def put(self, content: bytes, path: str) -> None:
        """Writes a file of the deploying account's own."""
        try:
            self.connection.put(BytesIO(content), path)
        except (OSError, paramiko.SSHException) as error:
            raise DeployFailed(f"{path} could not be written on {self.name} ({error}): run this again.") from error

    def _run(self, script: str, what: str) -> Any:
        try:
            return self.connection.run(script, hide=True, warn=True, in_stream=False)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise DeployFailed(f"{what}: {self.name} was lost ({error}): see that it is there, then run this again.") from error


@contextmanager
def connected(environment: Environment, names: Sequence[str]) -> Iterator[dict[str, Host]]:
    """The hosts by name. A host whose key is not known is refused, never learned."""
    hosts = {name: _host(environment, name) for name in names}
    try:
        for host in hosts.values():
            _open(host)
        yield hosts
    finally:
        for host in hosts.values():
            host.connection.close()


def _host(environment: Environment, name: str) -> Host:
    keys = {"key_filename": environment.identity_file} if environment.identity_file else {}
    connection = Connection(name, user=environment.user, connect_timeout=CONNECT_SECONDS, connect_kwargs=keys)
    connection.client.load_system_host_keys(environment.known_hosts)
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    return Host(name=name, connection=connection, root=environment.root, environment_folder=environment.environment)


def _open(host: Host) -> None:
    try:
        host.connection.open()
    except (OSError, paramiko.SSHException) as error:
        raise DeployFailed(
            f"{host.name} does not let {host.connection.user} in ({error}): check its address, its host key and yours."
        ) from error
