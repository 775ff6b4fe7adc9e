"""`python -m deploy.local up` and `down` as a person runs them: the four services on a Kafka that the environment names."""

import os
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local import processes
from deploy.local.databases import SERVICES
from deploy.local.env_file import read_env
from deploy.local.places import CHECKOUT
from shared.contracts.topics import ALL_TOPICS
from shared.environment import KafkaConnection
from shared.kafka.topics import delete_topics

PREFIX = f"t{os.getpid()}.system."
CONTRACT_NAMES = {
    "KAFKA_BOOTSTRAP_SERVERS",
    "ADMIN_TOKEN",
    "PLATFORM_TOKEN",
    "REPORTS_TOKEN",
    "CODE_KEYS_FILE",
    "KAFKA_PID",
    "POSTGRES_PID",
    *(f"{service.upper()}_{name}" for service in SERVICES for name in ("URL", "DATABASE_URL", "PIDS")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSystem:
    """A run folder of its own."""

    run: Path
    environment: dict[str, str]

    def call(self, command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deploy.local", command],
            cwd=CHECKOUT,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    def up(self, **more: str) -> dict[str, str]:
        result = self.call("up", **more)
        assert result.returncode == 0, result.stdout + result.stderr
        return read_env(self.run / "env")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka_server: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalSystem]:
    run = tmp_path_factory.mktemp("system") / "run"
    named = {"KAFKA_BOOTSTRAP_SERVERS": kafka_server, "KAFKA_TOPIC_PREFIX": PREFIX, "REQUEST_PARTITIONS": "2"}
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_TOKEN"))}
    made = LocalSystem(run=run, environment={**kept, **named, "COUNTERFOIL_RUN": str(run)})
    yield made
    result = made.call("clean")
    await delete_topics(KafkaConnection(bootstrap_servers=kafka_server, topic_prefix=PREFIX), ALL_TOPICS)
    assert result.returncode == 0, result.stderr
    assert processes.left_over(run) == []
    assert not run.exists()


def status_of(url: str, token: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_up_brings_the_services_with_tokens_that_work_and_a_second_one_changes_nothing(system: LocalSystem) -> None:
    first = system.up(COUNTERFOIL_COPIES="ranking=2")
    assert set(first) >= CONTRACT_NAMES
    assert stat.S_IMODE((system.run / "env").stat().st_mode) == 0o600
    assert len(first["RANKING_PIDS"].split()) == 2
    assert first["KAFKA_PID"] == ""
    for service in SERVICES:
        url = first[f"{service.upper()}_URL"]
        assert status_of(f"{url}/readyz") == HTTPStatus.OK
        assert status_of(f"{url}/livez") == HTTPStatus.OK
    lookup = f"{first['REDEMPTION_URL']}/v1/redemptions/zork/nothing"
    assert status_of(lookup, first["PLATFORM_TOKEN"]) == HTTPStatus.NOT_FOUND
    assert status_of(lookup) == HTTPStatus.UNAUTHORIZED
    assert status_of(f"{first['CODEGEN_URL']}/v1/tokens", first["ADMIN_TOKEN"]) == HTTPStatus.OK
    assert status_of(f"{first['REPORTING_URL']}/v1/campaigns/none/summary", first["REPORTS_TOKEN"]) == HTTPStatus.NOT_FOUND
    assert system.up() == first
    # Called from a shell that has sourced .run/env, too.
    assert system.up(**first) == first


def test_a_service_that_died_is_started_again_on_its_address_and_the_others_are_left(system: LocalSystem) -> None:
    before = system.up()
    killed = int(before["REDEMPTION_PIDS"])
    os.kill(killed, signal.SIGKILL)
    assert system.call("status").returncode == 1
    after = system.up()
    assert after["REDEMPTION_PIDS"] != before["REDEMPTION_PIDS"]
    assert {**after, "REDEMPTION_PIDS": ""} == {**before, "REDEMPTION_PIDS": ""}
    assert system.call("status").returncode == 0


def test_down_ends_to_the_last_process_and_up_comes_back_with_the_same_tokens(system: LocalSystem) -> None:
    before = system.up()
    assert system.call("down").returncode == 0
    assert processes.left_over(system.run) == []
    after = system.up(COUNTERFOIL_COPIES="ranking=1")
    assert after["ADMIN_TOKEN"] == before["ADMIN_TOKEN"]
    assert after["PLATFORM_TOKEN"] == before["PLATFORM_TOKEN"]
    assert len(after["RANKING_PIDS"].split()) == 1


def test_an_admin_token_that_is_lost_with_the_env_file_is_asked_for(system: LocalSystem) -> None:
    before = system.up()
    (system.run / "env").unlink()
    result = system.call("up")
    assert result.returncode == 1
    assert "set ADMIN_TOKEN to one that works" in result.stderr.splitlines()[-1]
    after = system.up(ADMIN_TOKEN=before["ADMIN_TOKEN"], CODE_KEYS_FILE=before["CODE_KEYS_FILE"])
    assert {**after, "PLATFORM_TOKEN": "", "REPORTS_TOKEN": ""} == {**before, "PLATFORM_TOKEN": "", "REPORTS_TOKEN": ""}


def test_a_service_that_cannot_start_ends_in_its_last_words_and_a_sentence(system: LocalSystem) -> None:
    system.call("down")
    result = system.call("up", LOG_LEVEL="shouting")
    assert result.returncode == 1
    assert "LOG_LEVEL" in result.stderr
    assert "then run this again" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    # What is told of the system so far is all there, for whoever looks for what lives.
    assert set(read_env(system.run / "env")) >= CONTRACT_NAMES
