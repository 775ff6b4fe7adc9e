"""`make up SECURE=1`: the small campaign passes on it, and each user may do what the topics' lists say, nothing else."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from deploy.local import processes
from deploy.local.access import PLATFORM, USERS
from deploy.local.certificates import Certificates
from deploy.local.databases import SERVICES
from deploy.local.env_file import read_env
from deploy.local.places import CHECKOUT, default_cache
from deploy.local.security import Security
from deploy.local.state import load_state
from shared.contracts.topics import ALL_TOPICS, OUTCOMES, REQUESTS, Topic
from shared.environment import KafkaConnection, kafka_connection
from shared.kafka import clients
from shared.kafka.errors import Retryable
from shared.kafka.inspecting import LogInspector
from tests.e2e.test_small_campaign import demo, test_one_code_by_http_is_answered_alike_each_time
from tests.e2e.test_small_campaign import (
    test_ledger_ranking_and_reporting_equal_a_recomputation_from_the_outcomes as test_the_campaign_agrees_to_the_last_unit,
)
from tests.support.polling import poll_until
from tests.support.system import TestSystem

__all__ = ["demo", "test_one_code_by_http_is_answered_alike_each_time", "test_the_campaign_agrees_to_the_last_unit"]

UP_SECONDS: Final = 300
pytestmark = pytest.mark.timeout(2 * UP_SECONDS)
MAY_WRITE: Final = {
    "codegen": {"promo.campaigns.v1", "promo.stores.v1", "promo.batches.v1", "promo.voids.v1", "promo.tokens.v1"},
    "redemption": {"promo.outcomes.v1", "promo.dead-letters.v1", "game.redemptions.v1"},
    "ranking": {"promo.standings.v1"},
    "reporting": set[str](),
    PLATFORM: {"game.redemptions.v1"},
}
REFERENCES: Final = {"promo.campaigns.v1", "promo.stores.v1", "promo.batches.v1", "promo.tokens.v1", "promo.outcomes.v1"}
MAY_READ: Final = {
    "codegen": REFERENCES | {"promo.voids.v1", "promo.dead-letters.v1"},
    "redemption": REFERENCES | {"promo.voids.v1", "game.redemptions.v1"},
    "ranking": REFERENCES,
    "reporting": REFERENCES | {"promo.voids.v1", "promo.standings.v1"},
    PLATFORM: set[str](),
}
"""The table of the services in ARCHITECTURE.md, written down a second time."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TestSystem]:
    run = tmp_path_factory.mktemp("secure") / "run"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "CODE_KEYS"))}
    kept = {name: value for name, value in kept.items() if not name.endswith(("_URL", "_TOKEN"))}
    environment = {**kept, "COUNTERFOIL_RUN": str(run), "COUNTERFOIL_CACHE": str(default_cache()), "SECURE": "1"}

    def local(command: str) -> None:
        result = subprocess.run(
            [sys.executable, "-m", "deploy.local", command],
            cwd=CHECKOUT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr

    try:
        local("up")
        written = read_env(run / "env")
        yield TestSystem(kafka=kafka_connection(written), environment=written, folder=run)
    finally:
        local("clean")
        assert processes.left_over(run) == []


@pytest.fixture
def security(system: TestSystem) -> Security:
    passwords = load_state(system.folder / "state.json").kafka_passwords
    return Security(certificates=Certificates(folder=system.folder / "certificates"), passwords=passwords)


def test_the_command_writes_topics_and_grants_again_and_those_of_another_platform(system: TestSystem) -> None:
    command = [sys.executable, "-m", "counterfoil", "topics", "--grants", "--platform", "platform-myst"]
    result = subprocess.run(
        command, env={**os.environ, **system.environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("all topics were there\n")
    assert "for the users codegen, platform-myst, ranking, redemption, reporting" in result.stdout


def test_every_service_is_a_user_of_its_own_and_knows_no_other_password(system: TestSystem, security: Security) -> None:
    assert set(security.passwords) == set(USERS)
    for service in SERVICES:
        told = _environment_of(int(system.environment[f"{service.upper()}_PIDS"]))
        assert told["KAFKA_USERNAME"] == service
        assert told["KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
        known = {user for user, password in security.passwords.items() if password in told.values()}
        assert known == {service}
    assert system.environment["KAFKA_USERNAME"] == "operator"
    assert system.environment["PLATFORM_KAFKA_PASSWORD"] == security.passwords[PLATFORM]


@pytest.mark.parametrize("user", [*SERVICES, PLATFORM])
async def test_a_user_reads_what_the_table_says_alone(system: TestSystem, security: Security, user: str) -> None:
    consumer = clients.consumer(security.connection(system.kafka.bootstrap_servers, user))
    await consumer.start()
    try:
        allowed = {topic.name for topic in ALL_TOPICS if await _may_read(consumer, topic)}
    finally:
        await consumer.stop()
    assert allowed == MAY_READ[user]


async def test_ranking_knows_how_long_the_requests_are_and_how_far_redemption_is(
    system: TestSystem, security: Security
) -> None:
    async with LogInspector(security.connection(system.kafka.bootstrap_servers, "ranking")) as log:
        assert len(await log.ends(REQUESTS.name)) == REQUESTS.partitions
        assert await log.committed("counterfoil.redemption", REQUESTS.name)


async def test_a_wrong_password_plain_text_and_another_authority_are_refused(
    system: TestSystem, security: Security, tmp_path: Path
) -> None:
    good = security.connection(system.kafka.bootstrap_servers, "reporting")
    plain = KafkaConnection(bootstrap_servers=system.kafka.bootstrap_servers)
    for bad in (replace(good, password="guessed"), replace(good, ca_file=None), plain):
        with pytest.raises(Retryable):
            async with LogInspector(bad) as log:
                await log.ends(OUTCOMES.name)


def test_a_second_up_changes_nothing_and_the_way_it_was_made_stays(system: TestSystem) -> None:
    environment = {**os.environ, "COUNTERFOIL_RUN": str(system.folder), "COUNTERFOIL_CACHE": str(default_cache())}
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "CODE_KEYS_FILE"):
        environment.pop(name, None)
    result = subprocess.run(
        [sys.executable, "-m", "deploy.local", "up"], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert read_env(system.folder / "env") == system.environment


@pytest.mark.parametrize("user", [*SERVICES, PLATFORM])
async def test_a_user_writes_to_its_own_topics_alone(system: TestSystem, security: Security, user: str) -> None:
    """The last of all: what it sends is no event, and stops those who would read on."""
    producer = clients.producer(security.connection(system.kafka.bootstrap_servers, user))
    await producer.start()
    try:
        allowed = {topic.name for topic in ALL_TOPICS if await _may_write(producer, topic)}
    finally:
        await producer.stop()
    assert allowed == MAY_WRITE[user]


async def _may_write(producer: AIOKafkaProducer, topic: Topic) -> bool:
    try:
        await producer.send_and_wait(topic.name, value=None, key=b"access")
    except TopicAuthorizationFailedError:
        return False
    return True


async def _may_read(consumer: AIOKafkaConsumer, topic: Topic) -> bool:
    """A fetch that was answered tells the log's end; the topics whose very name is refused are known before."""
    await consumer._client.add_topic(topic.name)
    if topic.name in consumer._client.cluster.unauthorized_topics:
        return False
    partition = TopicPartition(topic.name, 0)
    consumer.assign([partition])
    consumer.seek(partition, 0)

    async def answered() -> bool:
        await consumer.getmany(partition, timeout_ms=100)
        return consumer.highwater(partition) is not None

    try:
        return await poll_until(answered, 30, what=f"an answer for {topic.name}")
    except TopicAuthorizationFailedError:
        return False


def _environment_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)
