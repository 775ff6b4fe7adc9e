"""Kafka and Postgres for the local system: those that the environment names, else our own, started when they do not run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from deploy.local import kafka, ports, postgres, processes
from deploy.local.failures import SetupFailed
from deploy.local.places import Places
from deploy.local.progress import Progress, Step
from deploy.local.resources import require_room
from deploy.local.security import Security
from deploy.local.state import State, save_state

KAFKA_VARIABLE: Final = "KAFKA_BOOTSTRAP_SERVERS"
ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """Where a server answers. `pid` is None when it is not ours."""

    address: str
    pid: int | None


def named_kafka(environment: Mapping[str, str], last_env: Mapping[str, str]) -> str | None:
    """The broker that the environment names, if it is not our own of an earlier run."""
    named = environment.get(KAFKA_VARIABLE)
    return None if last_env.get("KAFKA_PID") and named == last_env.get(KAFKA_VARIABLE) else named


def ensure_kafka(
    places: Places, state: State, named: str | None, security: Security | None, progress: Progress
) -> RunningServer:
    """The Kafka to use, running. One of ours that lives is left as it is; one that died comes back, on its port if it can."""
    if named:
        _require_answer(named)
        progress.line("Kafka", f"{named}, as {KAFKA_VARIABLE} says")
        return RunningServer(address=named, pid=None)
    with progress.step("Kafka") as step:
        pid = processes.living(places.run / "pids" / "kafka")
        if pid is None:
            pid = start_unless_taken(
                lambda: _start_kafka(places, state, security, step),
                lambda: not (ports.is_free(state.kafka_port) and ports.is_free(state.kafka_controller_port)),
            )
            step.done(f"started on {ports.LOCAL}:{state.kafka_port}{', TLS and SCRAM' if security else ''}")
        else:
            if not ports.answers(state.kafka_port):
                kafka.wait_until_started(kafka.kafka_program(places.run, places.cache), pid)
            step.done(f"runs already on {ports.LOCAL}:{state.kafka_port}")
        return RunningServer(address=f"{ports.LOCAL}:{state.kafka_port}", pid=pid)


def ensure_postgres(
    places: Places, state: State, security: Security | None, progress: Progress
) -> tuple[postgres.PostgresFiles, RunningServer]:
    """Our own Postgres, running, with TLS if that is wanted and it can. The address is host:port."""
    with progress.step("Postgres") as step:
        files = postgres.prepare_files(places.run)
        secured = postgres.with_tls(files, security.certificates) if security else None
        files = secured or files
        how = "" if security is None else ", TLS" if secured else ", without TLS: this server was built without it"
        pid = processes.living(places.run / "pids" / "postgres")
        if pid is not None:
            program = postgres.postgres_program(places.run, files, state.postgres_port)
            postgres.wait_until_started(program, pid)
            step.done(f"runs already on {ports.LOCAL}:{state.postgres_port}")
        else:
            require_room(places.run)
            pid = start_unless_taken(
                lambda: _start_postgres(places, state, files), lambda: not ports.is_free(state.postgres_port)
            )
            step.done(f"started on {ports.LOCAL}:{state.postgres_port}{how}")
        return files, RunningServer(address=f"{ports.LOCAL}:{state.postgres_port}", pid=pid)


def _start_kafka(places: Places, state: State, security: Security | None, step: Step) -> int:
    require_room(places.run)
    program = kafka.kafka_program(places.run, places.cache, say=step.say)
    last = kafka.KafkaPorts(client=state.kafka_port, controller=state.kafka_controller_port) if state.kafka_port else None
    at = kafka.choose_ports(last)
    state.kafka_port, state.kafka_controller_port = at.client, at.controller
    save_state(places.state_file, state)
    return kafka.start_kafka(program, at, security=security)


def _start_postgres(places: Places, state: State, files: postgres.PostgresFiles) -> int:
    state.postgres_port = ports.free_port(
        state.postgres_port or postgres.USUAL_PORT,
        patience_seconds=ports.PATIENCE_SECONDS if state.postgres_port else 0.0,
    )
    save_state(places.state_file, state)
    return postgres.start_postgres(postgres.postgres_program(places.run, files, state.postgres_port), files)


def start_unless_taken(start: Callable[[], int], is_taken: Callable[[], bool]) -> int:
    """Starts a server that chooses its ports, once more for as long as somebody else took them in between."""
    for _ in range(ATTEMPTS - 1):
        try:
            return start()
        except SetupFailed:
            if not is_taken():
                raise
    return start()


def _require_answer(addresses: str) -> None:
    for address in addresses.split(","):
        host, _, port = address.strip().rpartition(":")
        if port.isdigit() and ports.answers(int(port), host or ports.LOCAL, seconds=5.0):
            return
    raise SetupFailed(
        f"{KAFKA_VARIABLE} names {addresses}, where nothing answers: start it, or unset the variable "
        "(if this shell has read an older .run/env, go on in a new one)."
    )
