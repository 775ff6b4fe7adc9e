"""The four services as processes of their own on a test's topics and database, as `make up` starts them."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from deploy.local import ports, processes
from deploy.local.databases import SERVICES, url_variable
from deploy.local.places import CHECKOUT
from deploy.local.processes import Program
from shared.environment import KafkaConnection
from tests.support.databases import Databases
from tests.support.polling import poll_until
from tests.support.topics import own_topics

READY_SECONDS: Final = 60.0


@dataclass(slots=True, kw_only=True)
class TestSystem:
    """A whole system of a test's own. `environment` is what `.run/env` would say."""

    __test__ = False

    kafka: KafkaConnection
    environment: dict[str, str]
    folder: Path
    programs: dict[str, Program] = field(default_factory=dict)

    def url(self, service: str) -> str:
        return self.environment[f"{service.upper()}_URL"]

    def start(self, service: str, copy: int = 1) -> int:
        """Starts a copy of a service and returns its pid; copies share the port."""
        program = Program(
            name=f"{service}-{copy}",
            command=[sys.executable, "-m", f"services.{service}"],
            environment={**os.environ, **self.environment, "PORT": self.environment[f"{service.upper()}_PORT"]},
            folder=CHECKOUT,
            owner=self.folder,
        )
        self.programs[program.name] = program
        return processes.start(program, ends_with_us=True)

    def stop(self, name: str) -> None:
        """Ends a copy, `redemption-1` say, in good order."""
        processes.stop(self.programs.pop(name))

    def stop_all(self) -> None:
        """Ends every copy at once, in good order."""
        with ThreadPoolExecutor(max(1, len(self.programs))) as threads:
            list(threads.map(self.stop, list(self.programs)))

    async def ready(self, service: str) -> None:
        """Returns when the service says that it is ready. Fails with its log's end when it does not."""
        try:
            await poll_until(lambda: self._is_ready(service), READY_SECONDS, what=f"{service} being ready")
        except AssertionError as error:
            logs = "\n".join(p.log_file.read_text()[-3_000:] for n, p in self.programs.items() if n.startswith(service))
            raise AssertionError(f"{error}\n{logs}") from None

    async def call(
        self, method: str, service: str, path: str, body: Any = None, *, token: str = "ADMIN_TOKEN", **options: Any
    ) -> Any:
        """One call's JSON; fails when the answer is a problem."""
        headers = {"Authorization": f"Bearer {self.environment[token]}", **options.pop("headers", {})}
        async with (
            aiohttp.ClientSession(self.url(service), headers=headers) as session,
            session.request(method, path, json=body, **options) as response,
        ):
            text = await response.text()
            assert response.status < 400, f"{method} {path}: {response.status} {text}"
            return json.loads(text) if response.content_type == "application/json" else text

    async def _is_ready(self, service: str) -> bool:
        if any(processes.living(p.pid_file) is None for n, p in self.programs.items() if n.startswith(service)):
            message = f"{service} died"
            raise AssertionError(message)
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url(service) + "/readyz") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False


@asynccontextmanager
async def running_system(
    kafka: KafkaConnection, database_urls: Mapping[str, str], folder: Path, *, settings: Mapping[str, str] | None = None
) -> AsyncIterator[TestSystem]:
    """Starts one copy of each service and makes the three tokens; ends every copy afterwards."""
    system = TestSystem(kafka=kafka, environment=_environment(kafka, database_urls, folder, settings or {}), folder=folder)
    try:
        for service in SERVICES:
            system.start(service)
        await asyncio.gather(_bootstrap(system), *(system.ready(service) for service in SERVICES))
        await _make_tokens(system)
        yield system
    finally:
        await asyncio.to_thread(system.stop_all)


@asynccontextmanager
async def system_of_its_own(
    kafka_server: str, databases: Databases, folder: Path, **settings: str
) -> AsyncIterator[TestSystem]:
    """Topics, databases and four services that nobody else uses, for fixtures that many tests share."""
    folder.mkdir(parents=True, exist_ok=True)
    urls = await databases.make_shared()
    try:
        async with own_topics(kafka_server) as kafka, running_system(kafka, urls, folder, settings=settings) as system:
            yield system
    finally:
        await databases.drop(urls["codegen"])


def _environment(
    kafka: KafkaConnection, database_urls: Mapping[str, str], folder: Path, settings: Mapping[str, str]
) -> dict[str, str]:
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"keys": [{"id": "k1", "key": secrets.token_hex(32)}]}))
    chosen: dict[str, int] = {}
    for service in SERVICES:
        chosen[service] = ports.free_port(20_000 + secrets.randbelow(9_000), but_not=list(chosen.values()))
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "CODE_KEYS_FILE": str(keys),
        **{url_variable(service): url for service, url in database_urls.items()},
        **{f"{service.upper()}_PORT": str(port) for service, port in chosen.items()},
        **{f"{service.upper()}_URL": f"http://127.0.0.1:{port}" for service, port in chosen.items()},
        **settings,
    }


async def _bootstrap(system: TestSystem) -> None:
    """The first token is made on the database, whether codegen runs or not."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "counterfoil",
        "token",
        "bootstrap",
        env={**os.environ, **system.environment},
        cwd=system.folder,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    system.environment["ADMIN_TOKEN"] = out.decode().strip()


async def _make_tokens(system: TestSystem) -> None:
    for variable, scope in (("PLATFORM_TOKEN", "platform:zork"), ("REPORTS_TOKEN", "reports")):
        made = await system.call("POST", "codegen", "/v1/tokens", {"name": scope, "scopes": [scope]})
        system.environment[variable] = made["token"]
