"""What keeps the copies running on a host: systemd (the machine's or the account's own), or supervisord where there is none."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from deploy.remote import packages
from deploy.remote.host import Host
from deploy.remote.settings import Copy, Environment

TEMPLATES: Final = Path(__file__).parent
UNIT: Final = "counterfoil@.service"
STOP_SECONDS: Final = 20


class Supervisor(Protocol):
    """On one host. A copy is known by its name, `redemption-8102`."""

    def install(self, host: Host, copies: Sequence[Copy]) -> None:
        """Makes it know these copies, and start them when the host does. Running copies are left alone."""

    def restart(self, host: Host, copy: Copy) -> None:
        """Ends the copy in good order and starts it in the current release. Returns when the old process is gone."""

    def pid(self, host: Host, copy: Copy) -> int | None:
        """The copy's process, None when it does not run."""

    def last_words(self, host: Host, copy: Copy) -> tuple[str, ...]:
        """The end of the copy's log."""


def supervisor_of(environment: Environment) -> Supervisor:
    """The one that the settings name."""
    match environment.supervisor:
        case "systemd":
            return Systemd(control=("sudo", "-n", "systemctl"), folder="/etc/systemd/system", account=environment.user)
        case "systemd-user":
            return Systemd(control=("systemctl", "--user"), folder=".config/systemd/user", account=None)
        case "supervisord":
            return Supervisord(python=environment.python)


class Systemd:
    """A unit template; a copy is an instance of it. `account` is None for the account's own systemd."""

    def __init__(self, *, control: tuple[str, ...], folder: str, account: str | None) -> None:
        self._control = control
        self._folder = folder
        self._account = account

    def install(self, host: Host, copies: Sequence[Copy]) -> None:
        self._write(host, unit_lines(host.root, host.environment_folder, self._account))
        host.run(*self._control, "daemon-reload", what="reading the unit")
        host.run(*self._control, "enable", "--quiet", *(_instance(copy) for copy in copies), what="enabling the copies")

    def restart(self, host: Host, copy: Copy) -> None:
        host.run(*self._control, "restart", _instance(copy), what=f"restarting {copy.name}")

    def pid(self, host: Host, copy: Copy) -> int | None:
        shown = host.run(*self._control, "show", "--property=MainPID", "--value", _instance(copy), what="asking systemd")
        return int(shown) or None

    def last_words(self, host: Host, copy: Copy) -> tuple[str, ...]:
        journal = ("journalctl", "--user") if self._account is None else ("sudo", "-n", "journalctl")
        shown = host.shell(
            f"{shlex.join(journal)} --lines=15 --output=cat --unit={_instance(copy)}",
            what="reading its log",
            status_matters=False,
        )
        return tuple(shown.splitlines())

    def _write(self, host: Host, unit: str) -> None:
        new = f"{host.root}/{UNIT}"
        host.put(unit.encode(), new)
        move = ("install", "-D", "-m", "644", new, f"{self._folder}/{UNIT}")
        host.run(*(("sudo", "-n") if self._account else ()), *move, what="installing the unit")


def unit_lines(root: str, environment_folder: str, account: str | None) -> str:
    """The unit template for a host. An account's own systemd names no user, and starts with the account."""
    text = (TEMPLATES / UNIT).read_text().replace("@root@", root).replace("@environment@", environment_folder)
    if account is None:
        return text.replace("User=@account@\n", "").replace("multi-user.target", "default.target")
    return text.replace("@account@", account)


class Supervisord:
    """supervisord of the deploying account's own, in `<root>/supervisor`, installed from its own lock the first time."""

    def __init__(self, *, python: str) -> None:
        self._python = python

    def install(self, host: Host, copies: Sequence[Copy]) -> None:
        folder = f"{host.root}/supervisor"
        python = f"{folder}/venv/bin/python"
        if not host.succeeds(python, "-c", "import supervisor"):
            packages.fill(host, f"{folder}/venv", f"{host.current}/requirements", "supervisor", python=self._python)
        host.put(configuration(host, copies).encode(), f"{folder}/supervisord.conf")
        if host.succeeds(*self._control(host, "pid")):
            host.run(*self._control(host, "update"), what="telling the supervisor of the copies")
        else:
            started = (python, "-m", "supervisor.supervisord", "--configuration", f"{folder}/supervisord.conf")
            host.run(*started, what="starting the supervisor")

    def restart(self, host: Host, copy: Copy) -> None:
        host.run(*self._control(host, "restart", copy.name), what=f"restarting {copy.name}")

    def pid(self, host: Host, copy: Copy) -> int | None:
        shown = host.shell(
            shlex.join(self._control(host, "pid", copy.name)), what="asking the supervisor", status_matters=False
        ).strip()
        return int(shown) or None if shown.isdigit() else None

    def last_words(self, host: Host, copy: Copy) -> tuple[str, ...]:
        return tuple(host.shell(f"tail -n 15 {_log(host, copy)}", what="reading its log", status_matters=False).splitlines())

    def _control(self, host: Host, *command: str) -> tuple[str, ...]:
        folder = f"{host.root}/supervisor"
        control = (f"{folder}/venv/bin/python", "-m", "supervisor.supervisorctl")
        return (*control, "--configuration", f"{folder}/supervisord.conf", *command)


def configuration(host: Host, copies: Sequence[Copy]) -> str:
    """supervisord.conf for the copies of a host."""
    head = (TEMPLATES / "supervisord.conf").read_text().replace("@root@", host.root)
    return head + "".join(
        f"\n[program:{copy.name}]\n"
        f"command={host.current}/deploy/remote/run-copy {copy.name} {host.environment_folder}\n"
        f"stdout_logfile={_log(host, copy)}\n"
        "redirect_stderr=true\nautorestart=true\nstartsecs=0\n"
        f"stopwaitsecs={STOP_SECONDS}\n"
        for copy in copies
    )


def _instance(copy: Copy) -> str:
    return f"counterfoil@{copy.name}.service"


def _log(host: Host, copy: Copy) -> str:
    return f"{host.root}/logs/{copy.name}.log"
