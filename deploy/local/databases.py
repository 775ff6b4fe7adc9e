"""One database, four roles, four schemas: each service knows its own address and can see no other's tables."""

import secrets
from collections.abc import Collection, Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local import ports
from deploy.local.failures import SetupFailed
from deploy.local.places import CHECKOUT
from deploy.local.state import State
from shared.postgres.migrations import pending

DATABASE: Final = "counterfoil"
SERVICES: Final = ("codegen", "redemption", "ranking", "reporting")


def url_variable(service: str) -> str:
    """The variable that gives a service its database."""
    return f"{service.upper()}_DATABASE_URL"


def our_url(service: str, state: State, query: str = "") -> str:
    """The address of a service's schema on our own server, once it was made. `query`: what it ends with, from `?` on."""
    return f"postgresql://{service}:{state.role_passwords[service]}@{ports.LOCAL}:{state.postgres_port}/{DATABASE}{query}"


def named_urls(state: State, environment: Mapping[str, str]) -> dict[str, str]:
    """The databases that the environment names, by service. An address that an earlier run of ours made is not counted: it
    is told by its password, which no other can have."""
    found = {}
    for service in SERVICES:
        url = environment.get(url_variable(service))
        if url and (service not in state.role_passwords or urlsplit(url).password != state.role_passwords[service]):
            found[service] = url
    return found


async def ensure_schemas(superuser_url: str, passwords: Mapping[str, str], *, renew: Collection[str] = ()) -> None:
    """Makes the database, and a role and a schema for each service that has a password. Changes nothing twice.

    A role that is there keeps its password unless it is named in `renew`.
    """
    server = await asyncpg.connect(superuser_url, timeout=20)
    try:
        present = {row["rolname"] for row in await server.fetch("SELECT rolname FROM pg_roles")}
        if not await server.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await server.execute(f"CREATE DATABASE {DATABASE}")
            await server.execute(f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC")
        for service, password in passwords.items():
            if service not in present:
                await server.execute(f"CREATE ROLE {service} LOGIN")
                await server.execute(f"ALTER ROLE {service} SET search_path = {service}")
            if service not in present or service in renew:
                await server.execute(f"ALTER ROLE {service} PASSWORD '{password}'")
                await server.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {DATABASE} TO {service}")
    finally:
        await server.close()
    database = await asyncpg.connect(urlunsplit(urlsplit(superuser_url)._replace(path=f"/{DATABASE}")), timeout=20)
    try:
        for service in passwords:
            await database.execute(f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {service}")
    finally:
        await database.close()


def ensure_passwords(state: State, services: Iterable[str]) -> list[str]:
    """Makes a random password for each service that has none, and names those services."""
    new = [service for service in services if service not in state.role_passwords]
    state.role_passwords.update({service: secrets.token_urlsafe(24) for service in new})
    return new


async def pending_migrations(urls: Mapping[str, str]) -> list[str]:
    """The migrations that some schema does not have yet. Raises SetupFailed when a database does not let us in."""
    found = []
    for service, url in urls.items():
        try:
            found += await pending(url, CHECKOUT / "services" / service / "migrations", schema=service)
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            raise SetupFailed(
                f"{url_variable(service)} leads to no usable database ({error}): start it or mend the address."
            ) from error
    return found
