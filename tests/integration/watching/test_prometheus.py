"""A real Prometheus with the configuration of deploy/prometheus: it scrapes a real system and evaluates the rules."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.grafana import dashboards
from deploy.local import ports, processes
from deploy.local.databases import SERVICES
from deploy.local.places import CHECKOUT
from deploy.local.processes import Program
from shared.contracts.topics import REQUESTS
from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from shared.kafka.records import NewRecord
from tests.support.campaign import open_campaign, send, wait_decided
from tests.support.debian import PROMETHEUS, PROMTOOL, find_program
from tests.support.polling import poll_until
from tests.support.system import TestSystem, running_system

FOLDER = CHECKOUT / "deploy/prometheus"
ONLY_IN_TROUBLE = {"counterfoil_redemption_dead_letters_total"}
"""Metrics with labels whose values come with an event that a campaign without trouble does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    async def ask(self, path: str, **parameters: str) -> Any:
        async with (
            aiohttp.ClientSession(self.url) as session,
            session.get(f"/api/v1/{path}", params=parameters) as response,
        ):
            answer = await response.json()
            assert answer["status"] == "success", answer
            return answer["data"]

    async def metrics(self) -> set[str]:
        """The names of all metrics that were scraped."""
        return set(await self.ask("label/__name__/values"))

    async def alerts(self) -> dict[str, list[dict[str, str]]]:
        """The labels of the alerts that fire, by name."""
        firing: dict[str, list[dict[str, str]]] = {}
        for alert in (await self.ask("alerts"))["alerts"]:
            if alert["state"] == "firing":
                firing.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return firing


@pytest.mark.parametrize("name", ["rules_test.yml", "rules_of_days_test.yml"])
def test_each_alert_fires_on_what_it_is_for_and_on_nothing_else(tmp_path: Path, name: str) -> None:
    promtool = find_program(PROMTOOL)
    tests = tmp_path / name
    text = (Path(__file__).parent / name).read_text()
    tests.write_text(text.replace("RULES", str(FOLDER / "rules/counterfoil.yml")))
    result = subprocess.run(
        [promtool.path, "test", "rules", tests],
        env={**os.environ, **promtool.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


async def test_prometheus_scrapes_every_service_and_sees_what_goes_wrong(
    kafka: KafkaConnection, shared_database: dict[str, str], tmp_path: Path
) -> None:
    async with running_system(kafka, shared_database, tmp_path) as system, _prometheus(system, tmp_path) as prometheus:
        campaign = await open_campaign(system)
        await send(system, campaign.requests(0, 300))
        await wait_decided(system, 300)
        await poll_until(lambda: _all_up(prometheus), 30, what="every target being up")
        await poll_until(lambda: _nothing_missing(prometheus), 30, what="every metric of rules and dashboards being there")
        assert await _panels_asked(prometheus) > 50
        await poll_until(lambda: _rules_are_healthy(prometheus), 30, what="every rule being evaluated")
        await poll_until(lambda: _quiet(prometheus), 30, what="no alert firing")

        async with Publisher(kafka) as publisher:
            await publisher.publish_batch(REQUESTS.name, 0, [NewRecord(b"k", b"this is no request")])
        await poll_until(lambda: _fires(prometheus, "DeadLetters"), 30)
        system.stop("ranking-1")
        await poll_until(lambda: _fires(prometheus, "ServiceDown"), 30)
        assert [alert["job"] for alert in (await prometheus.alerts())["ServiceDown"]] == ["ranking"]
        system.start("ranking")
        await system.ready("ranking")
        await poll_until(lambda: _ends(prometheus, "ServiceDown"), 30)


@asynccontextmanager
async def _prometheus(system: TestSystem, folder: Path) -> AsyncIterator[Prometheus]:
    """Prometheus on a copy of the configuration, in a hurry: it looks every second and alerts fire after two."""
    program = find_program(PROMETHEUS)
    configuration = folder / "prometheus"
    shutil.copytree(FOLDER, configuration)
    for path in (configuration / "prometheus.yml", configuration / "rules/counterfoil.yml"):
        text = re.sub(r"_interval: \d+s", "_interval: 1s", path.read_text())
        path.write_text(re.sub(r"for: \w+", "for: 2s", text))
    (configuration / "targets").mkdir(exist_ok=True)
    for service in SERVICES:
        targets = [{"targets": [system.url(service).removeprefix("http://")]}]
        (configuration / f"targets/{service}.json").write_text(json.dumps(targets))
    port = ports.free_port(29_700)
    running = Program(
        name="prometheus",
        command=[
            str(program.path),
            f"--config.file={configuration / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        environment={**os.environ, **program.environment},
        folder=folder,
        owner=folder,
    )
    try:
        await asyncio.to_thread(processes.start, running, ends_with_us=True)
        prometheus = Prometheus(url=f"http://127.0.0.1:{port}")
        await poll_until(lambda: _answers(prometheus), 30, what="Prometheus answering")
        yield prometheus
    finally:
        processes.stop(running)


async def _answers(prometheus: Prometheus) -> bool:
    try:
        await prometheus.ask("status/runtimeinfo")
    except (aiohttp.ClientError, AssertionError):
        return False
    return True


async def _all_up(prometheus: Prometheus) -> bool:
    up = await prometheus.ask("query", query="up == 1")
    return {sample["metric"]["job"] for sample in up["result"]} == set(SERVICES)


async def _nothing_missing(prometheus: Prometheus) -> bool:
    """Whether nothing is missing; says what is when it gives up."""
    texts = [(FOLDER / "rules/counterfoil.yml").read_text(), *dashboards.texts().values()]
    asked = {name for text in texts for name in re.findall(r"\bcounterfoil_[a-z0-9_]+[a-z0-9]\b", text)}
    missing = asked - await prometheus.metrics() - ONLY_IN_TROUBLE
    if missing:
        print(f"not scraped yet: {sorted(missing)}")
    return not missing


async def _panels_asked(prometheus: Prometheus) -> int:
    """How many questions all panels ask; Prometheus answers each without an error, as it would answer Grafana."""
    asked = [
        target["expr"]
        for text in dashboards.texts().values()
        for panel in json.loads(text)["panels"]
        for target in panel.get("targets", [])
    ]
    for expression in asked:
        await prometheus.ask("query", query=expression)
    return len(asked)


async def _rules_are_healthy(prometheus: Prometheus) -> bool:
    rules = [rule for group in (await prometheus.ask("rules"))["groups"] for rule in group["rules"]]
    assert not [rule for rule in rules if rule["health"] == "err"], rules
    return len(rules) > 20 and all(rule["health"] == "ok" for rule in rules)


async def _quiet(prometheus: Prometheus) -> bool:
    firing = await prometheus.alerts()
    if firing:
        print(f"fires: {firing}")
    return not firing


async def _fires(prometheus: Prometheus, name: str) -> bool:
    return name in await prometheus.alerts()


async def _ends(prometheus: Prometheus, name: str) -> bool:
    return name not in await prometheus.alerts()
