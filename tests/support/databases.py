"""Databases for tests: templates per session, migrated once; a clone of one per test, in some milliseconds."""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local.places import CHECKOUT
from shared.postgres.migrations import migrate

SERVICES: Final = ("codegen", "redemption", "ranking", "reporting")
SHARED: Final = "shared"


@dataclass(slots=True, kw_only=True)
class Databases:
    """Makes and drops the databases and roles of one test session. A clone is dropped by whoever had it made, or at the end."""

    superuser_url: str
    session: str = field(default_factory=lambda: secrets.token_hex(4))
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    _templates: dict[str, str] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)

    async def make(self, service: str) -> str:
        """A fresh, migrated database of the service. Returns its URL as the service's role."""
        template = await self._template(service)
        name = f"test_{service}_{self.session}_{secrets.token_hex(4)}"
        await self._as_superuser(f'CREATE DATABASE "{name}" TEMPLATE "{template}" OWNER "{self.role(service)}"')
        self._made.add(name)
        return self._url(name, service)

    async def make_shared(self) -> dict[str, str]:
        """One fresh database with a migrated schema per service, as `make up` lays it out. Returns a URL per service."""
        template = await self._shared_template()
        name = f"test_shared_{self.session}_{secrets.token_hex(4)}"
        await self._as_superuser(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        self._made.add(name)
        return {service: self._url(name, service) for service in SERVICES}

    async def drop(self, url: str) -> None:
        """Drops the database of a URL that was made here, with whoever is still connected."""
        name = urlsplit(url).path.removeprefix("/")
        await self._as_superuser(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._made.discard(name)

    async def drop_all(self) -> None:
        """Drops what is left of the session: clones, templates and roles."""
        for name in [*self._made, *self._templates.values()]:
            await self._as_superuser(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        for service in SERVICES:
            await self._as_superuser(f'DROP ROLE IF EXISTS "{self.role(service)}"')

    def role(self, service: str) -> str:
        """The role that owns the service's schema in this session."""
        return f"{service}_{self.session}"

    async def _template(self, service: str) -> str:
        if service not in self._templates:
            name = f"template_{service}_{self.session}"
            await self._ensure_role(service)
            await self._as_superuser(f'CREATE DATABASE "{name}" OWNER "{self.role(service)}"')
            self._templates[service] = name
            await self._make_schema(name, service)
            await migrate(self._url(name, service), CHECKOUT / "services" / service / "migrations", schema=service)
        return self._templates[service]

    async def _shared_template(self) -> str:
        if SHARED not in self._templates:
            name = f"template_{SHARED}_{self.session}"
            await self._as_superuser(f'CREATE DATABASE "{name}"')
            self._templates[SHARED] = name
            for service in SERVICES:
                await self._ensure_role(service)
                await self._make_schema(name, service)
                await migrate(self._url(name, service), CHECKOUT / "services" / service / "migrations", schema=service)
        return self._templates[SHARED]

    async def _ensure_role(self, service: str) -> None:
        role = self.role(service)
        if not await self._as_superuser(f"SELECT FROM pg_roles WHERE rolname = '{role}'"):
            await self._as_superuser(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{self.password}'")
            await self._as_superuser(f'ALTER ROLE "{role}" SET search_path = {service}')

    async def _make_schema(self, database: str, service: str) -> None:
        await self._as_superuser(f'CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION "{self.role(service)}"', database)

    async def _as_superuser(self, statement: str, database: str | None = None) -> list[asyncpg.Record]:
        url = self.superuser_url if database is None else _with_database(self.superuser_url, database)
        connection = await asyncpg.connect(url, timeout=20)
        try:
            return list(await connection.fetch(statement, timeout=60))
        finally:
            await connection.close()

    def _url(self, database: str, service: str) -> str:
        at = urlsplit(self.superuser_url)
        place = f"{self.role(service)}:{self.password}@{at.hostname}:{at.port}"
        return urlunsplit((at.scheme, place, f"/{database}", at.query, ""))


def drop_session(databases: Databases) -> None:
    """Drops all that the session made, from outside of any event loop."""
    asyncio.run(databases.drop_all())


def _with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
