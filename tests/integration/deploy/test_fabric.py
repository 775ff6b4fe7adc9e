"""`fab production deploy`, `rollback` and `status` over a real ssh, on releases of a repository of the test's own.

The tests go on from each other's state, in their order: v1, v2, a v3 that cannot run, and back.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local import ports, processes
from deploy.local.places import CHECKOUT
from deploy.remote.releases import SHIPPED
from deploy.remote.supervisors import UNIT, unit_lines
from shared.contracts.topics import ALL_TOPICS
from shared.environment import KafkaConnection
from shared.kafka.topics import delete_topics, ensure_topics
from tests.support.accounts import TestAccount, account_for_tests, python_for
from tests.support.databases import Databases
from tests.support.debian import Need, find_program
from tests.support.polling import wait_until
from tests.support.sshd import SshServer, running_sshd

FIRST, SECOND, THIRD = (f"v{number}+tracing" for number in (1, 2, 3))
PREFIX = f"t{os.getpid()}.fabric."
ONLY_REPORTING = ("reportlab", "pillow", "pypdfium2", "xlsxwriter", "uharfbuzz", "python-bidi")
"""Left out of the locks here, where that service is not deployed."""

pytestmark = pytest.mark.timeout(900)
"""A deployment fills a virtual environment, which a busy machine takes minutes for."""

SYSTEMD_ANALYZE = Need(names=("systemd-analyze",), packages=("systemd",), unpacked=("usr/bin/systemd-analyze",))
BROKEN = 'import sys\n\nsys.exit("this release cannot run")\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A repository to deploy from, and the root folder on the "host"."""

    repository: Path
    root: Path
    hosts_file: Path
    account: TestAccount
    ports: tuple[int, ...]

    def fab(self, *arguments: str, expected: int = 0) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "fabric", *arguments],
            cwd=self.repository,
            env={**os.environ, "COUNTERFOIL_HOSTS": str(self.hosts_file)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        said = result.stdout + result.stderr
        assert result.returncode == expected, said
        assert "Traceback" not in said, said
        return said

    def linked(self, link: str) -> str:
        return (self.root / link).resolve().name

    def running(self) -> dict[int, str]:
        """By process, the release that it runs in."""
        found = {}
        for pid in _descendants(int((self.root / "supervisor" / "supervisord.pid").read_text())):
            with suppress(FileNotFoundError):
                found[pid] = Path(os.readlink(f"/proc/{pid}/cwd")).name
        return found

    def packages(self, version: str, path: str) -> list[Path]:
        """Where a release's environment has a file or folder of a package: one place or none."""
        return list((self.root / "releases" / version / "venv").glob(f"lib/python3.*/site-packages/{path}"))

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
        subprocess.run(["git", "-C", self.repository, *identity, *arguments], check=True, capture_output=True)

    def release(self, version: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", version)
        self.git("tag", "--annotate", version, "--message", version)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(kafka_server: str, databases: Databases) -> AsyncIterator[Deployment]:
    kafka = KafkaConnection(bootstrap_servers=kafka_server, topic_prefix=PREFIX)
    await ensure_topics(kafka)
    urls = {service: await databases.make(service) for service in ("codegen", "ranking")}
    # Short, for the supervisor's socket.
    with tempfile.TemporaryDirectory(prefix="fab-", ignore_cleanup_errors=True) as short:
        folder = Path(short)
        with account_for_tests(folder) as account, running_sshd(folder, user=account.name) as server:
            made = _prepare(folder, account, server, kafka, urls)
            try:
                yield made
            finally:
                _end_supervisor(made.root)
    await delete_topics(kafka, ALL_TOPICS)


def test_a_first_deployment_makes_release_environment_with_the_extra_and_schema_and_waits_for_each_copy(
    deployment: Deployment,
) -> None:
    said = deployment.fab("production", "deploy", "--ref", "v1")
    assert "migrations of codegen: nothing to do" in said
    assert said.count("is ready") == 3
    assert deployment.linked("current") == FIRST
    assert not (deployment.root / "previous").exists()
    assert len(deployment.packages(FIRST, "opentelemetry/sdk")) == 1
    assert list(deployment.running().values()) == [FIRST] * 3
    assert {(deployment.root / "current").stat().st_uid, *map(_uid, deployment.running())} == {deployment.account.uid}
    shown = deployment.fab("production", "status")
    assert shown.count(f"runs {FIRST}, ready") == 3


def test_the_next_version_comes_beside_it_copy_by_copy(deployment: Deployment) -> None:
    before = deployment.running()
    said = deployment.fab("production", "deploy")
    assert (deployment.linked("current"), deployment.linked("previous")) == (SECOND, FIRST)
    assert [line.split()[-3] for line in said.splitlines() if "is ready" in line] == [
        f"codegen-{deployment.ports[0]}",
        f"ranking-{deployment.ports[1]}",
        f"ranking-{deployment.ports[2]}",
    ]
    assert list(deployment.running().values()) == [SECOND] * 3
    assert not set(before) & set(deployment.running())


def test_a_release_that_cannot_run_is_taken_back_by_itself(deployment: Deployment) -> None:
    (deployment.repository / "services" / "ranking" / "__main__.py").write_text(BROKEN)
    deployment.release("v3")
    said = deployment.fab("production", "deploy", expected=1)
    assert f"ranking-{deployment.ports[1]} on " in said
    assert "dies again and again" in said
    assert "this release cannot run" in said
    assert said.splitlines()[-1].endswith(f"Everything was taken back to {SECOND}.")
    assert deployment.linked("current") == SECOND
    assert deployment.fab("production", "status").count(f"runs {SECOND}, ready") == 3


def test_releases_of_one_lock_share_what_was_fetched_once_in_environments_of_their_own(deployment: Deployment) -> None:
    (second,), (third,) = (deployment.packages(version, "numpy/__init__.py") for version in (SECOND, THIRD))
    assert second.stat().st_ino == third.stat().st_ino
    environments = [deployment.root / "releases" / version / "venv" for version in (FIRST, SECOND, THIRD)]
    assert len({(environment / "pyvenv.cfg").stat().st_ino for environment in environments}) == 3


def test_a_rollback_brings_the_release_before_and_a_second_one_undoes_it(deployment: Deployment) -> None:
    assert f"is back on {FIRST}" in deployment.fab("production", "rollback")
    assert list(deployment.running().values()) == [FIRST] * 3
    assert (deployment.linked("current"), deployment.linked("previous")) == (FIRST, SECOND)
    killed = next(iter(deployment.running()))
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in deployment.running() and len(deployment.running()) == 3, what="a copy being started again")
    assert f"is back on {SECOND}" in deployment.fab("production", "rollback")
    assert list(deployment.running().values()) == [SECOND] * 3
    assert (deployment.linked("current"), deployment.linked("previous")) == (SECOND, FIRST)


def test_two_deployments_at_once_and_unknown_hosts_are_refused_by_a_sentence(deployment: Deployment) -> None:
    (deployment.root / "deploying").mkdir()
    said = deployment.fab("production", "deploy", expected=1)
    assert "A deployment is at work" in said
    (deployment.root / "deploying").rmdir()
    known = deployment.hosts_file.with_name("known-hosts")
    kept = known.read_text()
    known.write_text("")
    said = deployment.fab("production", "status", expected=1)
    known.write_text(kept)
    assert "check its address, its host key and yours" in said
    assert "Say which environment" in deployment.fab("status", expected=1)


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    analyze = find_program(SYSTEMD_ANALYZE)
    started = tmp_path / "current" / "deploy" / "remote" / "run-copy"
    started.parent.mkdir(parents=True)
    shutil.copy(CHECKOUT / "deploy" / "remote" / "run-copy", started)
    unit = tmp_path / UNIT.replace("@", "@ranking-8103")
    unit.write_text(unit_lines(str(tmp_path), str(tmp_path), "root"))
    command = [str(analyze.path), "verify", str(unit)]
    result = subprocess.run(command, env={**os.environ, **analyze.environment}, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert unit.name not in result.stderr


def test_systemd_understands_the_timers_of_reportings_jobs(tmp_path: Path) -> None:
    analyze = find_program(SYSTEMD_ANALYZE)
    shutil.copytree(CHECKOUT / "deploy" / "systemd", tmp_path, dirs_exist_ok=True)
    timers = sorted(tmp_path.glob("*.timer"))
    command = [str(analyze.path), "verify", *map(str, timers)]
    result = subprocess.run(command, env={**os.environ, **analyze.environment}, capture_output=True, text=True, check=False)
    assert (result.returncode, [line for line in result.stderr.splitlines() if "counterfoil" in line]) == (0, [])
    assert len(timers) == 5
    assert "/current/deploy/remote/run-copy reporting-0 " in (tmp_path / "counterfoil-job@.service").read_text()


def _prepare(folder: Path, account: TestAccount, server: SshServer, kafka: KafkaConnection, urls: dict[str, str]) -> Deployment:
    repository, root, environment = folder / "repository", account.home / "root", account.home / "environment"
    for name in (*SHIPPED, "fabfile.py"):
        target = repository / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / name, target)
    for lock in (repository / "requirements" / "services.txt", repository / "requirements" / "tracing.txt"):
        lock.write_text(_without(lock.read_text(), ONLY_REPORTING))
    environment.mkdir()
    keys = environment / "keys.json"
    keys.write_text('{"keys": [{"id": "k1", "key": "' + "5a" * 32 + '"}]}')
    for service, url in urls.items():
        told = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            f"{service.upper()}_DATABASE_URL": url,
            "CODE_KEYS_FILE": str(keys),
        }
        (environment / f"{service}.env").write_text("# settings\n" + "".join(f"{n}={v}\n" for n, v in told.items()))
    account.own(environment)
    chosen: list[int] = []
    for usual in (20_101, 20_103, 20_113):
        chosen.append(ports.free_port(usual, but_not=chosen))
    hosts_file = folder / "hosts.toml"
    hosts_file.write_text(_hosts(server, root, environment, python_for(account), chosen))
    made = Deployment(repository=repository, root=root, hosts_file=hosts_file, account=account, ports=tuple(chosen))
    made.git("init", "--quiet")
    made.release("v1")
    (repository / "services" / "ranking" / "version.txt").write_text("2\n")
    made.release("v2")
    return made


def _without(lock: str, packages: Collection[str]) -> str:
    """The lock without some packages: a name, and its hashes on the lines below it."""
    blocks = re.split(r"\n(?=[a-z])", lock)
    return "\n".join(block for block in blocks if re.split("[=[]", block, maxsplit=1)[0] not in packages)


def _hosts(server: SshServer, root: Path, environment: Path, python: Path, chosen: list[int]) -> str:
    return f"""
[production]
user = "{server.user}"
root = "{root}"
environment = "{environment}"
supervisor = "supervisord"
python = "{python}"
identity_file = "{server.identity_file}"
known_hosts = "{server.known_hosts}"
extras = ["tracing"]
ready_seconds = 90

[production.roles]
codegen = {{ hosts = ["{server.address}"], ports = [{chosen[0]}] }}
ranking = {{ hosts = ["{server.address}"], ports = [{chosen[1]}, {chosen[2]}] }}
"""


def _descendants(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(word) for word in listed.split()]


def _uid(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def _end_supervisor(root: Path) -> None:
    """The copies are not waited for: how they end in good order was tried before."""
    pid_file = root / "supervisor" / "supervisord.pid"
    if pid_file.exists():
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        for copy in _descendants(pid):
            with suppress(ProcessLookupError):
                os.kill(copy, signal.SIGKILL)
        processes.end(pid, seconds=40)
