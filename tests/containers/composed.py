"""The project of docker-compose.yml on an engine, as the checks look at it."""

import json
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.local.places import CHECKOUT
from tests.containers.engine import Engine

PROJECT: Final = "counterfoil-checks"
UP_SECONDS: Final = 900.0


@dataclass(slots=True, kw_only=True)
class ComposedSystem:
    """The project's containers. `tokens` by what they are for, once they were made."""

    engine: Engine
    version: str
    kafka_port: int
    prometheus_port: int
    tokens: dict[str, str] = field(default_factory=dict)

    def compose(self, *arguments: str) -> str:
        environment = {
            "COUNTERFOIL_VERSION": self.version,
            "KAFKA_PORT": str(self.kafka_port),
            "PROMETHEUS_PORT": str(self.prometheus_port),
        }
        file = str(CHECKOUT / "docker-compose.yml")
        return self.engine.compose(
            "--project-name", PROJECT, "--file", file, *arguments, environment=environment, seconds=UP_SECONDS
        )

    def counterfoil(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        """The command line in a container of its own."""
        told = [part for name, value in (environment or {}).items() for part in ("--env", f"{name}={value}")]
        return self.compose("run", "--rm", "--no-TTY", *told, "cli", "counterfoil", *arguments)

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """What `docker inspect` says of the containers, all or a service's."""
        wanted = [f"--filter=label=com.docker.compose.project={PROJECT}", "--filter=label=com.docker.compose.oneoff=False"]
        wanted += [f"--filter=label=com.docker.compose.service={service}"] if service else []
        ids = self.engine.docker("ps", "--all", "--quiet", *wanted).split()
        found: list[dict[str, Any]] = json.loads(self.engine.docker("inspect", *ids)) if ids else []
        return found

    def urls(self, service: str) -> list[str]:
        """The published addresses of a service's copies."""
        return [url for container in self.containers(service) for url in addresses(container)]

    def python(self, service: str, program: str) -> str:
        """What a Python program prints inside a service's first container."""
        return self.compose("exec", "--no-TTY", service, "python", "-c", program)

    def call(self, service: str, method: str, path: str, body: Any = None, *, token: str = "ADMIN_TOKEN", **head: str) -> Any:
        return call(self.urls(service)[0], method, path, body, token=self.tokens[token], **head)


def addresses(container: dict[str, Any]) -> list[str]:
    """A container's published addresses; none while it is down."""
    found = container["NetworkSettings"]["Ports"].get("8080/tcp") or []
    return [f"http://{binding['HostIp']}:{binding['HostPort']}" for binding in found]


def call(url: str, method: str, path: str, body: Any = None, *, token: str, **head: str) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    headers |= {name.replace("_", "-"): value for name, value in head.items()}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
        return json.loads(text) if "json" in answer.headers["Content-Type"] else text
