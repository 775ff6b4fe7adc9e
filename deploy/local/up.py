"""`make up`: Kafka, topics, Postgres, schemas, keys, services, tokens, `.run/env`; read from the top like a parts list."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local import databases, ports, processes, services, tokens
from deploy.local.access import grants
from deploy.local.databases import SERVICES, url_variable
from deploy.local.env_file import read_env, write_env
from deploy.local.failures import SetupFailed, told_by_sentence
from deploy.local.places import CHECKOUT, Places
from deploy.local.postgres import superuser_url, tls_query
from deploy.local.progress import Progress
from deploy.local.security import Security, ensure_security
from deploy.local.servers import KAFKA_VARIABLE, RunningServer, ensure_kafka, ensure_postgres, named_kafka
from deploy.local.state import State, load_state, save_state
from shared.contracts.topics import OUTCOMES, REQUESTS
from shared.environment import KafkaConnection, SettingsError, kafka_connection
from shared.kafka.access import GrantRefused, grant
from shared.kafka.errors import Retryable
from shared.kafka.topics import ensure_topics

COMMAND_SECONDS: Final = 120
PARTITIONS_VARIABLE: Final = "REQUEST_PARTITIONS"
MOST_PARTITIONS: Final = 1000
PASSED_ON: Final = ("KAFKA_TOPIC_PREFIX", "KAFKA_SECURITY_PROTOCOL", "KAFKA_USERNAME", "KAFKA_PASSWORD", "KAFKA_CA_FILE")
"""Written to `.run/env` when they are set, so that the command line reaches the same Kafka in the same way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """What the services stand on. `postgres` is None when the environment names all four databases."""

    kafka: RunningServer
    security: Security | None
    postgres: RunningServer | None
    database_urls: Mapping[str, str]


def up(places: Places, environment: Mapping[str, str], progress: Progress) -> dict[str, str]:
    """Starts what does not run, leaves what does, waits until all is ready, and returns what `.run/env` says then.

    Raises SetupFailed with what to do; what was started by then stays, and the next call goes on from there.
    """
    with told_by_sentence("setting up", places.run):
        state, last_env = load_state(places.state_file), read_env(places.env_file)
        copies, keys = services.wanted_copies(environment, state.copies), _place_of_code_keys(places, environment, last_env)
        wanted_partitions(environment)
        end_strays(places, progress)
        backing = _ensure_backing(places, state, environment, last_env, progress)
        _ensure_code_keys(keys, progress)
        services.choose_service_ports(places, state)
        save_state(places.state_file, state)
        written = _describe(environment, backing, state, keys)
        known = {name: environment.get(name) or last_env.get(name, "") for name in tokens.PROBES}
        known["ADMIN_TOKEN"] = known["ADMIN_TOKEN"] or _bootstrap_admin_token(written, progress)
        write_env(places.env_file, written | known | services.living_pids(places))
        running = services.start_services(places, state, _settings(backing, state, keys), copies)
        write_env(places.env_file, written | known | services.living_pids(places))
        services.wait_until_ready(running, state, progress)
        with progress.step("Tokens") as step:
            known |= tokens.ensure_tokens(service_urls(state), known)
            step.done("accepted by the services")
        written |= known | services.living_pids(places)
        write_env(places.env_file, written)
        return written


def service_urls(state: State) -> dict[str, str]:
    """The addresses of the services."""
    return {service: f"http://{ports.LOCAL}:{port}" for service, port in state.service_ports.items()}


def end_strays(places: Places, progress: Progress) -> int:
    """Ends what an earlier run left behind without an owner. It is told by its environment, so it can only be ours."""
    found = processes.strays(places.run)
    for pid in found:
        processes.end(pid, seconds=10)
    if found:
        progress.line("Left over", f"ended {len(found)} process(es) of an earlier run that no pid file owned")
    return len(found)


def _ensure_backing(
    places: Places, state: State, environment: Mapping[str, str], last_env: Mapping[str, str], progress: Progress
) -> Backing:
    named = named_kafka(environment, last_env)
    security = ensure_security(places, state, environment, kafka_is_named=named is not None)
    save_state(places.state_file, state)
    kafka = ensure_kafka(places, state, named, security, progress)
    with progress.step("Topics") as step:
        made = asyncio.run(_make_topics(_operators_connection(kafka.address, security, environment), security, environment))
        step.done(f"{len(made)} made" if made else "all there")
    postgres, urls = _ensure_databases(places, state, environment, security, progress)
    with progress.step("Schemas") as step:
        pending = asyncio.run(databases.pending_migrations(urls))
        if pending:
            _counterfoil(["migrate"], {url_variable(service): url for service, url in urls.items()})
        step.done(f"{len(pending)} migrations run" if pending else "up to date")
    return Backing(kafka=kafka, security=security, postgres=postgres, database_urls=urls)


def _ensure_databases(
    places: Places, state: State, environment: Mapping[str, str], security: Security | None, progress: Progress
) -> tuple[RunningServer | None, dict[str, str]]:
    """Our own server, if a service needs it, and each service's address."""
    urls = databases.named_urls(state, environment)
    ours = [service for service in SERVICES if service not in urls]
    if not ours:
        return None, urls
    files, postgres = ensure_postgres(places, state, security, progress)
    new = databases.ensure_passwords(state, ours)
    save_state(places.state_file, state)
    superuser = superuser_url(files, state.postgres_port)
    asyncio.run(databases.ensure_schemas(superuser, {s: state.role_passwords[s] for s in ours}, renew=new))
    query = tls_query(files.authority)
    return postgres, urls | {service: databases.our_url(service, state, query) for service in ours}


def _operators_connection(address: str, security: Security | None, environment: Mapping[str, str]) -> KafkaConnection:
    """How we reach the broker ourselves: as its operator if it is ours and secured, else as the environment says."""
    prefix = environment.get("KAFKA_TOPIC_PREFIX", "")
    if security:
        return security.connection(address, topic_prefix=prefix)
    try:
        return kafka_connection({**environment, KAFKA_VARIABLE: address})
    except SettingsError as error:
        raise SetupFailed(
            f"The environment says wrongly how to reach Kafka ({error}): mend that, then run this again."
        ) from error


def wanted_partitions(environment: Mapping[str, str]) -> dict[str, int]:
    """How many partitions the two topics get that go by requests, as REQUEST_PARTITIONS says, else as their own."""
    text = environment.get(PARTITIONS_VARIABLE) or str(REQUESTS.partitions)
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MOST_PARTITIONS:
        raise SetupFailed(f"{PARTITIONS_VARIABLE} has {text!r}: write a number from 1 to {MOST_PARTITIONS}, or leave it out.")
    return {REQUESTS.name: int(text), OUTCOMES.name: int(text)}


async def _make_topics(connection: KafkaConnection, security: Security | None, environment: Mapping[str, str]) -> list[str]:
    try:
        made = await ensure_topics(connection, partitions=wanted_partitions(environment))
        if security:
            await grant(connection, grants())
    except (Retryable, GrantRefused) as error:
        raise SetupFailed(f"The topics could not be made ({error}): see .run/logs/kafka.log, then run this again.") from error
    return made


def _place_of_code_keys(places: Places, environment: Mapping[str, str], last_env: Mapping[str, str]) -> Path:
    """The key ring's file: the one that the environment names, or named last time, which must be there; else our own."""
    named = environment.get("CODE_KEYS_FILE") or last_env.get("CODE_KEYS_FILE")
    path = Path(named).resolve() if named else places.key_ring
    if path != places.key_ring and not path.exists():
        raise SetupFailed(f"CODE_KEYS_FILE names {path}, which is not there: bring it back, or unset the variable.")
    return path


def _ensure_code_keys(path: Path, progress: Progress) -> None:
    """Makes the key ring once."""
    if path.exists():
        return
    with progress.step("Code keys") as step:
        _counterfoil(["keys", "new", "--file", str(path)], {})
        path.chmod(0o600)
        step.done(f"made {path.name}")


def _bootstrap_admin_token(described: Mapping[str, str], progress: Progress) -> str:
    with progress.step("Tokens") as step:
        try:
            said = _counterfoil(["token", "bootstrap"], described)
        except SetupFailed as error:
            sentence = f"Neither the environment nor .run/env has ADMIN_TOKEN, and none can be made: {tokens.ADMIN_ADVICE}."
            raise SetupFailed(sentence, error.log_lines) from error
        step.done("first admin token made")
    return said.strip().splitlines()[-1].strip()


def _settings(backing: Backing, state: State, keys: Path) -> dict[str, dict[str, str]]:
    return {
        service: services.service_settings(
            service, kafka=backing.kafka.address, url=backing.database_urls[service], port=port, code_keys=keys
        )
        | (backing.security.kafka_settings(service) if backing.security else {})
        for service, port in state.service_ports.items()
    }


def _describe(environment: Mapping[str, str], backing: Backing, state: State, keys: Path) -> dict[str, str]:
    """What `.run/env` says of everything but tokens and the services' pids."""
    return {
        KAFKA_VARIABLE: backing.kafka.address,
        **{name: environment[name] for name in PASSED_ON if environment.get(name)},
        **(backing.security.described if backing.security else {}),
        **{f"{service.upper()}_URL": url for service, url in service_urls(state).items()},
        **{url_variable(service): url for service, url in backing.database_urls.items()},
        "CODE_KEYS_FILE": str(keys),
        "KAFKA_PID": str(backing.kafka.pid or ""),
        "POSTGRES_PID": str(backing.postgres.pid or "") if backing.postgres else "",
    }


def _counterfoil(arguments: list[str], settings: Mapping[str, str]) -> str:
    """Runs the command line with these settings and returns what it printed. Raises SetupFailed with what it said."""
    result = subprocess.run(
        [sys.executable, "-m", "counterfoil", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if result.returncode:
        lines = tuple(result.stderr.splitlines()[-processes.LOG_TAIL_LINES :])
        raise SetupFailed(f"`counterfoil {' '.join(arguments)}` failed: mend what it says, then run this again.", lines)
    return result.stdout
