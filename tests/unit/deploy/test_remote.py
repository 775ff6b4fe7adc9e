"""Deployments over ssh, as far as they need no host: the settings file, versions, what is written for the supervisors."""

import configparser
import json
import subprocess
from pathlib import Path

import pytest

from deploy.local.databases import SERVICES
from deploy.local.places import CHECKOUT
from deploy.remote.releases import version_of
from deploy.remote.settings import Copy, DeployFailed, Environment, Role, read_environment
from deploy.remote.supervisors import UNIT, unit_lines
from deploy.remote.targets import write_targets


@pytest.mark.parametrize("name", ["development", "production"])
def test_the_settings_file_names_every_service_and_no_secret(name: str) -> None:
    environment = read_environment(name, {})
    assert set(environment.roles) == set(SERVICES)
    assert all(host.endswith(".example") for host in environment.hosts)


def test_production_has_two_copies_of_each_service_on_different_hosts() -> None:
    environment = read_environment("production", {})
    for service in SERVICES:
        assert len({copy.host for copy in environment.copies() if copy.service == service}) >= 2


def test_a_rollout_goes_service_by_service_and_host_by_host() -> None:
    roles = {"ranking": Role(hosts=("a", "b"), ports=(3, 4)), "codegen": Role(hosts=("b",), ports=(1,))}
    environment = Environment(user="u", root="/r", environment="/e", supervisor="systemd", roles=roles)
    assert environment.hosts == ["a", "b"]
    assert list(environment.copies()) == [
        Copy(service="codegen", host="b", port=1),
        *(Copy(service="ranking", host=host, port=port) for host in ("a", "b") for port in (3, 4)),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"has no \[production\]"),
        ("[production]\nuser = 1", "cannot be used"),
        ('[production]\nuser="u"\nroot="/r"\nenvironment="/e"\nsupervisor="systemd"\nroles={}\ncolour="red"', "colour"),
        ('[production]\nuser="u"\nroot="/r"\nenvironment="/e"\nsupervisor="systemd"\nroles={}\nextras=["trace"]', "extras"),
        (
            '[production]\nuser="u"\nroot="/r"\nenvironment="/e"\nsupervisor="systemd"\n[production.roles.web]\nhosts=[]\nports=[]',
            "web",
        ),
    ],
)
def test_what_is_wrong_in_the_settings_file_is_told_by_name(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    with pytest.raises(DeployFailed, match=sentence):
        read_environment("production", {"COUNTERFOIL_HOSTS": str(path)})


def test_an_extra_chooses_the_lock_and_gives_the_release_a_name_of_its_own() -> None:
    plain, traced = (
        Environment(user="u", root="/r", environment="/e", supervisor="systemd", roles={}, extras=extras)
        for extras in ((), ("tracing",))
    )
    assert (plain.lock, plain.release_of("v1.2")) == ("services", "v1.2")
    assert (traced.lock, traced.release_of("v1.2")) == ("tracing", "v1.2+tracing")
    locks = {f"{environment.lock}.txt" for environment in (plain, traced)}
    assert locks < {path.name for path in (CHECKOUT / "requirements").iterdir()}


def test_prometheus_is_told_of_every_copy_by_its_hosts_name(tmp_path: Path) -> None:
    roles = {"ranking": Role(hosts=("a:2222", "b"), ports=(3, 4)), "codegen": Role(hosts=("b",), ports=(1,))}
    environment = Environment(user="u", root="/r", environment="/e", supervisor="systemd", roles=roles)
    assert [path.name for path in write_targets(environment, tmp_path / "targets")] == ["ranking.json", "codegen.json"]
    assert json.loads((tmp_path / "targets" / "ranking.json").read_text()) == [{"targets": ["a:3", "a:4", "b:3", "b:4"]}]


def test_a_version_is_what_git_says_of_the_commit(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    git("init", "--quiet")
    git("commit", "--allow-empty", "--message", "one")
    git("tag", "release/1.0")
    git("commit", "--allow-empty", "--message", "two")
    assert version_of("release/1.0", tmp_path) == "release-1.0"
    assert version_of("HEAD", tmp_path).startswith("release-1.0-1-g")
    with pytest.raises(DeployFailed, match="name a commit"):
        version_of("nowhere", tmp_path)


def test_the_systemd_unit_restarts_a_copy_without_rights_and_an_accounts_own_names_no_user() -> None:
    ours, accounts = (_parsed(unit_lines("/opt/c", "/etc/c", account)) for account in ("counterfoil", None))
    assert ours["Service"]["User"] == "counterfoil"
    assert ours["Service"]["Restart"] == "always"
    assert ours["Service"]["NoNewPrivileges"] == "yes"
    assert ours["Service"]["ExecStart"] == "/opt/c/current/deploy/remote/run-copy %i /etc/c"
    assert ours["Install"]["WantedBy"] == "multi-user.target"
    assert "User" not in accounts["Service"]
    assert accounts["Install"]["WantedBy"] == "default.target"
    assert UNIT.endswith("@.service")


def test_a_copy_is_started_with_the_lines_of_its_services_file_taken_as_they_are(tmp_path: Path) -> None:
    release, environment = tmp_path / "release", tmp_path / "environment"
    python = release / "venv" / "bin" / "python"
    for folder in (python.parent, release / "deploy" / "remote", environment):
        folder.mkdir(parents=True)
    (release / "deploy" / "remote" / "run-copy").write_bytes((CHECKOUT / "deploy" / "remote" / "run-copy").read_bytes())
    python.write_text('#!/bin/sh\necho "$@|$PORT|$RANKING_DATABASE_URL|$(pwd)"\n')
    python.chmod(0o755)
    value = "postgresql://r:p%40$x@h/d?a=1&b=2 'quoted'"
    (environment / "ranking.env").write_text(f"# settings\n\nRANKING_DATABASE_URL={value}")
    run_copy = ["sh", str(release / "deploy" / "remote" / "run-copy")]
    said = subprocess.run([*run_copy, "ranking-8103", str(environment)], capture_output=True, text=True, check=True).stdout
    assert said == f"-m services.ranking|8103|{value}|{release}\n"
    migrate = [*run_copy, "ranking-0", str(environment), "counterfoil", "migrate", "ranking"]
    said = subprocess.run(migrate, capture_output=True, text=True, check=True).stdout
    assert said.startswith("-m counterfoil migrate ranking|")


def _parsed(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser
