"""Rules, dashboards and the runbook speak of what there is: metrics that services declare, alerts that have a section."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana import dashboards
from deploy.local.databases import SERVICES
from deploy.local.places import CHECKOUT
from shared.telemetry.metrics import REGISTRY

RULES = CHECKOUT / "deploy/prometheus/rules/counterfoil.yml"
RUNBOOK = CHECKOUT / "docs/runbook.md"


def _rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def _declared() -> set[str]:
    for service in SERVICES:
        importlib.import_module(f"services.{service}.app")
    return {metric.name for metric in REGISTRY.collect()}


def _named(text: str) -> set[str]:
    names = re.findall(r"\bcounterfoil_[a-z0-9_]+[a-z0-9]\b", text)
    return {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in names}


@pytest.mark.parametrize("path", [RULES, RUNBOOK, *sorted(dashboards.FOLDER.glob("*.json"))], ids=lambda path: path.name)
def test_every_metric_that_is_asked_for_is_declared(path: Path) -> None:
    assert _named(path.read_text()) <= _declared()


def test_every_recorded_figure_that_is_asked_for_is_recorded() -> None:
    texts = [RULES.read_text(), *(path.read_text() for path in dashboards.FOLDER.glob("*.json"))]
    asked = {name for text in texts for name in re.findall(r"counterfoil:[a-z0-9_:]+", text)}
    assert asked == {rule["record"] for rule in _rules() if "record" in rule}


def test_every_alert_has_its_section_in_the_runbook_and_no_section_is_left_over() -> None:
    sections = re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    alerts = {rule["alert"]: rule for rule in _rules() if "alert" in rule}
    assert sorted(sections) == sorted(alerts)
    for name, rule in alerts.items():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        assert rule["labels"]["severity"] in {"warning", "critical"}


def test_dashboards_are_fresh() -> None:
    """Else: `python -m deploy.grafana.dashboards`."""
    found = {path.name: path.read_text() for path in dashboards.FOLDER.glob("*.json")}
    assert found == dashboards.texts()
