"""`counterfoil run|migrate|topics`: what an operator, a container or `make up` starts."""

import asyncio
import os
import runpy
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from counterfoil.environment import CommandError, variable
from deploy.local.access import grants
from shared.contracts.topics import ALL_TOPICS, OUTCOMES, REQUESTS
from shared.environment import KafkaSettings, postgres_address, read_settings
from shared.kafka.access import GrantRefused, grant
from shared.kafka.topics import ensure_topics
from shared.postgres.migrations import migrate as run_migrations

SERVICES_FOLDER = Path(__file__).parents[2] / "services"


class ServiceName(StrEnum):
    CODEGEN = "codegen"
    REDEMPTION = "redemption"
    RANKING = "ranking"
    REPORTING = "reporting"


def run(name: ServiceName) -> None:
    """Runs a service in the foreground until SIGTERM or Ctrl-C, as `python -m services.NAME` does."""
    runpy.run_module(f"services.{name}", run_name="__main__")


def migrate(
    names: Annotated[list[ServiceName] | None, typer.Argument(help="The services; all whose database address is set")] = None,
) -> None:
    """Brings the schemas of services up to date. Running it again changes nothing."""
    for name in names or _with_a_database():
        url = _database_of(name)
        done = asyncio.run(run_migrations(url, SERVICES_FOLDER / name / "migrations", schema=str(name)))
        typer.echo(f"{name}: {', '.join(done) if done else 'nothing to do'}")


def _with_a_database() -> list[ServiceName]:
    named = [name for name in ServiceName if any(map(os.environ.get, (_url_variable(name), f"{_url_variable(name)}_FILE")))]
    if not named:
        raise CommandError("no <SERVICE>_DATABASE_URL is set; it is needed to migrate. `make up` writes them to .run/env")
    return named


def _database_of(name: ServiceName) -> str:
    try:
        return postgres_address(variable(_url_variable(name), f"to migrate the schema of {name}"))
    except ValueError as error:
        raise CommandError(f"{_url_variable(name)}: {error}") from None


def _url_variable(name: ServiceName) -> str:
    return f"{name.upper()}_DATABASE_URL"


class _TopicSettings(KafkaSettings):
    request_partitions: int = Field(default=REQUESTS.partitions, ge=1, le=1000)
    replication_factor: int = Field(default=1, ge=1)


def topics(
    with_grants: Annotated[
        bool, typer.Option("--grants", help="Also what each service's user may do, on a Kafka that asks who somebody is")
    ] = False,
    platform: Annotated[
        list[str] | None, typer.Option(help="With --grants: the user of a game platform, who may write requests; repeatable")
    ] = None,
) -> None:
    """Makes the topics that are not there yet. REQUEST_PARTITIONS and REPLICATION_FACTOR may say otherwise than 6 and 1."""
    settings = read_settings(_TopicSettings)
    if platform and not with_grants:
        raise CommandError("--platform is for --grants: say both")
    partitions = {REQUESTS.name: settings.request_partitions, OUTCOMES.name: settings.request_partitions}
    made = asyncio.run(
        ensure_topics(settings.kafka, ALL_TOPICS, partitions=partitions, replication_factor=settings.replication_factor)
    )
    typer.echo(f"made {', '.join(made)}" if made else "all topics were there")
    if with_grants:
        given = grants(platform or ())
        try:
            asyncio.run(grant(settings.kafka, given))
        except GrantRefused as error:
            raise CommandError(str(error)) from None
        users = sorted({one.user for one in given})
        typer.echo(f"{len(given)} grants are there, for the users {', '.join(users)}; none was taken away")
