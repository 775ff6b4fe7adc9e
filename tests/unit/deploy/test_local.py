"""The rules of the local system that need no server."""

import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest

from deploy.local import jars
from deploy.local.databases import DATABASE, ensure_passwords, named_urls, our_url
from deploy.local.env_file import read_env, write_env
from deploy.local.failures import SetupFailed, told_by_sentence
from deploy.local.java import find_java, java_version
from deploy.local.places import CHECKOUT, Places
from deploy.local.postgres import may_reach
from deploy.local.postgres_programs import find_binaries
from deploy.local.processes import Account, start_mark
from deploy.local.progress import Progress
from deploy.local.resources import available_memory_bytes, require_room
from deploy.local.services import living_pids, pid_files, service_settings, wanted_copies, without_secrets
from deploy.local.state import State, load_state, save_state
from deploy.local.up import up, wanted_partitions
from shared.contracts.topics import OUTCOMES, REQUESTS


def test_the_lock_names_every_jar_once_with_its_hash() -> None:
    locked = jars.locked_jars()
    assert len(locked) == len({jar.file_name for jar in locked}) == 46
    assert all(len(bytes.fromhex(jar.sha256)) == hashlib.sha256().digest_size for jar in locked)
    assert any(jar.artifact == "kafka_2.13" and jar.version == "4.3.0" for jar in locked)
    assert "://" not in jars.LOCK_FILE.read_text()


def test_the_env_file_is_read_as_it_was_written_and_is_private(tmp_path: Path) -> None:
    values = {"CODEGEN_URL": "http://127.0.0.1:1", "REDEMPTION_PIDS": "1 2 3", "KAFKA_PID": "", "X": "a=b"}
    write_env(tmp_path / "env", values)
    assert read_env(tmp_path / "env") == values
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600
    assert read_env(tmp_path / "no such file") == {}


def test_a_shell_reads_the_env_file_as_the_readme_says(tmp_path: Path) -> None:
    values = {"REDEMPTION_PIDS": "1 2 3", "CODEGEN_DATABASE_URL": "postgresql://c:p@db/x?sslmode=verify-full&sslrootcert=/a b"}
    (tmp_path / ".run").mkdir()
    write_env(tmp_path / ".run" / "env", values)
    command = next(line for line in (CHECKOUT / "README.md").read_text().splitlines() if line.endswith(".run/env"))
    said = subprocess.run(["sh", "-c", f"{command}\nenv"], cwd=tmp_path, env={}, capture_output=True, text=True, check=True)
    assert said.stderr == ""
    assert {f"{name}={value}" for name, value in values.items()} <= set(said.stdout.splitlines())


def test_copies_are_as_asked_else_as_last_time_else_one() -> None:
    assert wanted_copies({}, {}) == {"codegen": 1, "redemption": 1, "ranking": 1, "reporting": 1}
    asked = wanted_copies({"COUNTERFOIL_COPIES": "redemption=3 ranking=2"}, {"redemption": 5, "reporting": 4})
    assert asked == {"codegen": 1, "redemption": 3, "ranking": 2, "reporting": 4}


@pytest.mark.parametrize("text", ["redemption", "redemption=0", "redemption=x", "kafka=2", "redemption=33"])
def test_copies_that_make_no_sense_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(SetupFailed, match="redemption=3 ranking=2"):
        wanted_copies({"COUNTERFOIL_COPIES": text}, {})


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1001", "²"])
def test_a_number_of_partitions_that_makes_no_sense_is_refused(text: str) -> None:
    assert wanted_partitions({}) == wanted_partitions({"REQUEST_PARTITIONS": ""}) == {REQUESTS.name: 6, OUTCOMES.name: 6}
    assert wanted_partitions({"REQUEST_PARTITIONS": "12"}) == {REQUESTS.name: 12, OUTCOMES.name: 12}
    with pytest.raises(SetupFailed, match="REQUEST_PARTITIONS"):
        wanted_partitions({"REQUEST_PARTITIONS": text})


def test_programs_of_postgres_that_are_not_where_they_are_said_to_be_are_not_looked_for_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="COUNTERFOIL_POSTGRES_BIN names"):
        find_binaries({**os.environ, "COUNTERFOIL_POSTGRES_BIN": f"{tmp_path}/"})


def test_the_key_ring_that_is_named_and_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    places = Places(run=tmp_path / "run", cache=tmp_path)
    with pytest.raises(SetupFailed, match="CODE_KEYS_FILE"):
        up(places, {"CODE_KEYS_FILE": str(tmp_path / "no such file")}, Progress(lambda _: None))
    assert not places.run.exists()


def test_pids_are_told_in_the_order_of_the_copies_those_that_live_alone(tmp_path: Path) -> None:
    places = Places(run=tmp_path, cache=tmp_path)
    (tmp_path / "pids").mkdir()
    alive = f"{os.getpid()}\n{start_mark(os.getpid())}\n"
    for name, text in (("ranking-10", alive), ("ranking-9", "1\nlong ago\n"), ("ranking-2", alive), ("redemption-1", "")):
        (tmp_path / "pids" / name).write_text(text)
    assert [path.name for path in pid_files(places, "ranking")] == ["ranking-2", "ranking-9", "ranking-10"]
    assert living_pids(places) == {
        "CODEGEN_PIDS": "",
        "REDEMPTION_PIDS": "",
        "RANKING_PIDS": f"{os.getpid()} {os.getpid()}",
        "REPORTING_PIDS": "",
    }


def test_a_database_of_ours_is_told_from_one_that_the_environment_brings() -> None:
    state = State(postgres_port=5)
    assert ensure_passwords(state, ["codegen", "ranking"]) == ["codegen", "ranking"]
    assert ensure_passwords(state, ["codegen", "ranking"]) == []
    ours = our_url("codegen", state)
    assert ours.endswith(f"@127.0.0.1:5/{DATABASE}")
    moved = our_url("codegen", State(postgres_port=6, role_passwords=state.role_passwords))
    theirs = "postgresql://me:secret@db:5432/shop"
    for sourced in (ours, moved):
        environment = {"CODEGEN_DATABASE_URL": sourced, "RANKING_DATABASE_URL": theirs, "REPORTING_DATABASE_URL": ""}
        assert named_urls(state, environment) == {"ranking": theirs}


def test_a_service_is_given_no_secret_of_another() -> None:
    environment = {
        "PATH": "/bin",
        "LOG_LEVEL": "debug",
        "RANKING_DATABASE_URL": "x",
        "DATABASE_URL": "x",
        "ADMIN_TOKEN": "x",
        "CODE_KEYS": "x",
        "CODE_KEYS_FILE": "x",
        "REDEMPTION_PIDS": "1",
    }
    assert without_secrets(environment) == {"PATH": "/bin", "LOG_LEVEL": "debug"}
    told = service_settings("ranking", kafka="k:1", url="postgresql://r", port=7, code_keys=Path("keys"))
    assert told == {
        "KAFKA_BOOTSTRAP_SERVERS": "k:1",
        "RANKING_DATABASE_URL": "postgresql://r",
        "HOST": "127.0.0.1",
        "PORT": "7",
    }
    assert "CODE_KEYS_FILE" in service_settings("codegen", kafka="", url="", port=7, code_keys=Path("keys"))


def test_the_state_is_kept_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    save_state(path, State(kafka_port=1, copies={"ranking": 2}))
    assert load_state(path) == State(kafka_port=1, copies={"ranking": 2})
    path.write_text("{")
    with pytest.raises(SetupFailed, match="make down"):
        load_state(path)


def test_java_older_than_17_is_passed_over(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "bin" / "java", tmp_path / "new" / "java"
    for path, version in ((old, "1.8.0_392"), (new, "17.0.15")):
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
        path.chmod(0o755)
    assert (java_version(old), java_version(new), java_version(tmp_path / "none")) == (8, 17, None)
    assert find_java({"JAVA_HOME": str(old.parents[1]), "PATH": f"{new.parent}:/bin:/usr/bin"}) == new
    assert find_java({"PATH": ""}).name == "java"


def test_a_container_s_memory_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 300\n")
    assert available_memory_bytes(tmp_path) == 400
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory_bytes(tmp_path) > 1000


@pytest.mark.parametrize(("needed", "says"), [("MEMORY_NEEDED_BYTES", "memory"), ("DISK_NEEDED_BYTES", "disk")])
def test_too_little_room_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needed: str, says: str
) -> None:
    require_room(tmp_path)
    monkeypatch.setattr(f"deploy.local.resources.{needed}", 2**70)
    with pytest.raises(SetupFailed, match=says):
        require_room(tmp_path)


def test_a_full_disk_ends_in_a_sentence(tmp_path: Path) -> None:
    def fill() -> None:
        with told_by_sentence("writing", tmp_path), Path("/dev/full").open("w") as full:
            full.write("x")

    with pytest.raises(SetupFailed, match="is full"):
        fill()


def test_a_home_of_mode_700_is_not_for_another_account(tmp_path: Path) -> None:
    stranger = Account(name="stranger", uid=2**16 + 7, gid=2**16 + 7)
    (tmp_path / "home").mkdir(mode=0o700)
    assert not may_reach(tmp_path / "home" / "data", stranger)
    assert may_reach(Path("/usr/lib/anything"), stranger)
