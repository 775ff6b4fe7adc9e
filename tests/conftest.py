"""Fixtures for every tier: the real servers, once per session, and what sets tests apart on them."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings

from shared.environment import KafkaConnection
from tests.support.databases import Databases, drop_session
from tests.support.servers import KAFKA_VARIABLE, POSTGRES_VARIABLE, session_kafka, session_postgres
from tests.support.topics import FEW, own_topics

settings.register_profile("counterfoil", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("counterfoil")
"""How long an example takes says more of what else the machine does than of the code; benchmarks measure that."""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """With workers (`pytest -n 2`) the session's servers are started here, once, and named to the workers."""
    is_worker, workers = hasattr(session.config, "workerinput"), session.config.getoption("numprocesses", None)
    if is_worker or not workers:
        return
    servers = ExitStack()
    session.config.add_cleanup(servers.close)
    os.environ[KAFKA_VARIABLE] = servers.enter_context(session_kafka())
    os.environ[POSTGRES_VARIABLE] = servers.enter_context(session_postgres())


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[str]:
    """host:port of the session's Kafka. Starts it when it is first asked for."""
    with session_kafka() as bootstrap_servers:
        yield bootstrap_servers


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of the session's Postgres as the superuser. Starts it when it is first asked for."""
    with session_postgres() as url:
        yield url


@pytest.fixture
async def kafka(kafka_server: str, request: pytest.FixtureRequest) -> AsyncIterator[KafkaConnection]:
    """A connection with topics of the test's own. `@pytest.mark.partitions(6)`: as many for requests and outcomes (else 2)."""
    mark = request.node.get_closest_marker("partitions")
    async with own_topics(kafka_server, partitions=mark.args[0] if mark else FEW) as connection:
        yield connection


@pytest.fixture(scope="session")
def databases(postgres_server: str) -> Iterator[Databases]:
    """The session's databases, for fixtures of a wider scope than a test; all are dropped at its end."""
    made = Databases(superuser_url=postgres_server)
    yield made
    drop_session(made)


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """`await database("codegen")`: a fresh migrated database, as the URL of the service's role; dropped after the test."""
    urls: list[str] = []

    async def make(service: str) -> str:
        urls.append(await databases.make(service))
        return urls[-1]

    yield make
    for url in urls:
        await databases.drop(url)


@pytest.fixture
async def shared_database(databases: Databases) -> AsyncIterator[dict[str, str]]:
    """One fresh database with the four migrated schemas, as `make up` lays it out: a URL per service."""
    urls = await databases.make_shared()
    yield urls
    await databases.drop(urls["codegen"])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "partitions(count): partitions of the test's request and outcome topics")
