"""deploy/k8s as kubectl would apply it: every object fits its schema, and has what security and scaling want."""

import json
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from deploy.local.access import grants
from deploy.local.databases import SERVICES
from deploy.local.places import CHECKOUT
from shared.contracts.topics import OUTCOMES, REDEMPTION_GROUP, REQUESTS
from shared.environment import variable_names
from shared.kafka.access import Pattern

OVERLAYS = ("development", "production")
CRDS = CHECKOUT / "tests/support/crds"
KUBERNETES = "1.35"
PATTERNS = {Pattern.LITERAL: "literal", Pattern.PREFIXED: "prefix"}


@cache
def rendered(overlay: str) -> tuple[Mapping[str, Any], ...]:
    """The objects of an overlay."""
    kubectl = Path(sysconfig.get_path("scripts")) / "kubectl"
    folder = CHECKOUT / "deploy/k8s/overlays" / overlay
    result = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return tuple(yaml.load_all(result.stdout, yaml.CSafeLoader))


def of_kind(overlay: str, *kinds: str) -> dict[str, Mapping[str, Any]]:
    """Objects by name."""
    return {found["metadata"]["name"]: found for found in rendered(overlay) if found["kind"] in kinds}


def closed(schema: Any) -> Any:
    """The schema as an API server takes it in strict mode: fields that it does not name are refused."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {name: closed(part) for name, part in schema.items()}
    if (
        "properties" in schema
        and "additionalProperties" not in schema
        and not schema.get("x-kubernetes-preserve-unknown-fields")
    ):
        shut["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        shut.pop("type", None)
    return shut


@cache
def own_schema(path: Path) -> Any:
    """The validator of an operator's resource. Whether the schema itself is one is the operator's affair: it takes seconds."""
    schema = closed(json.loads(path.read_text()))
    schema["properties"] |= {"metadata": {"type": "object"}, "apiVersion": {}, "kind": {}}
    return jsonschema.Draft202012Validator(schema)


def pods(overlay: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, found in of_kind(overlay, "Deployment", "Job").items():
        yield name, found["spec"]["template"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_fits_its_schema(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The library reads megabytes of definitions anew for every object.
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
    for found in rendered(overlay):
        group, _, version = found["apiVersion"].rpartition("/")
        own = CRDS / f"{group}_{version}_{found['kind']}.json"
        if own.exists():
            own_schema(own).validate(found)
        else:
            kubernetes_validate.validate(found, KUBERNETES, strict=True)


def test_a_field_with_a_typing_error_is_refused() -> None:
    triggers = [{"type": "kafka", "metadata": {}}]
    wrong = {"spec": {"scaleTargetRef": {"name": "x"}, "triggers": triggers, "minReplicasCount": 1}}
    with pytest.raises(jsonschema.ValidationError, match="minReplicasCount"):
        own_schema(CRDS / "keda.sh_v1alpha1_ScaledObject.json").validate(wrong)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_meets_the_restricted_standard_and_has_its_limits(overlay: str) -> None:
    for name, template in pods(overlay):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"]
            assert not security["allowPrivilegeEscalation"]
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_can_be_probed_moved_and_found(overlay: str) -> None:
    deployments, budgets, names = (of_kind(overlay, kind) for kind in ("Deployment", "PodDisruptionBudget", "Service"))
    assert deployments.keys() == budgets.keys() == names.keys() == set(SERVICES)
    for name, deployment in deployments.items():
        template = deployment["spec"]["template"]
        container = template["spec"]["containers"][0]
        assert container["args"] == [f"services.{name}"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/livez"
        assert {c["topologyKey"] for c in template["spec"]["topologySpreadConstraints"]} == {
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        }
        for selector in (names[name]["spec"]["selector"], budgets[name]["spec"]["selector"]["matchLabels"]):
            assert selector.items() <= template["metadata"]["labels"].items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_pods_refer_to_is_there(overlay: str) -> None:
    configurations = of_kind(overlay, "ConfigMap")
    secrets = {f"{name}-app" for name in of_kind(overlay, "Cluster")} | set(of_kind(overlay, "KafkaUser"))
    secrets |= {"counterfoil-cluster-ca-cert", "counterfoil-code-keys"}
    for name, template in pods(overlay):
        container = template["spec"]["containers"][0]
        assert container["envFrom"][0]["configMapRef"]["name"] in configurations
        asked = {e["valueFrom"]["secretKeyRef"]["name"] for e in container.get("env", ()) if "valueFrom" in e}
        asked |= {v["secret"]["secretName"] for v in template["spec"]["volumes"] if "secret" in v}
        assert asked <= secrets, name
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in template["spec"]["volumes"]}
        if name in ("ranking", "reporting"):
            assert "counterfoil-code-keys" not in asked


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_environment_has_no_variable_that_is_read_by_nobody(overlay: str) -> None:
    from counterfoil.commands.config import settings_of
    from counterfoil.commands.operate import ServiceName

    read = {n for s in ServiceName for f in settings_of(s).model_fields for n in variable_names(settings_of(s), f)}
    read |= {"CODE_KEYS_FILE", "REQUEST_PARTITIONS", "REPLICATION_FACTOR"}
    for found in of_kind(overlay, "ConfigMap").values():
        assert found["data"].keys() <= read
    for _, template in pods(overlay):
        assert {entry["name"] for entry in template["spec"]["containers"][0]["env"]} <= read


def test_kafkas_users_have_the_grants_that_the_secured_system_has() -> None:
    expected = {(g.user, g.resource.name.lower(), g.name, PATTERNS[g.pattern], g.operation.name.capitalize()) for g in grants()}
    found = set()
    for name, user in of_kind("production", "KafkaUser").items():
        for acl in user["spec"].get("authorization", {"acls": []})["acls"]:
            resource = acl["resource"]
            found |= {(name, resource["type"], resource["name"], resource["patternType"], o) for o in acl["operations"]}
    assert found == expected
    superusers = of_kind("production", "Kafka")["counterfoil"]["spec"]["kafka"]["authorization"]["superUsers"]
    assert superusers == ["operator"]


def test_copies_follow_the_lag_of_the_topic_that_they_read() -> None:
    followed = {
        name: (trigger["metadata"]["topic"], trigger["metadata"]["consumerGroup"])
        for name, scaled in of_kind("production", "ScaledObject").items()
        for trigger in scaled["spec"]["triggers"]
        if trigger["type"] == "kafka"
    }
    assert followed == {
        "redemption": (REQUESTS.name, REDEMPTION_GROUP),
        "ranking": (OUTCOMES.name, "counterfoil.ranking"),
        "reporting": (OUTCOMES.name, "counterfoil.reporting"),
    }
    configuration = next(iter(of_kind("production", "ConfigMap").values()))
    most = of_kind("production", "ScaledObject")["redemption"]["spec"]["maxReplicaCount"]
    assert most == int(configuration["data"]["REQUEST_PARTITIONS"])
    assert of_kind("production", "HorizontalPodAutoscaler").keys() == {"codegen"}
    assert all("replicas" not in d["spec"] for d in of_kind("production", "Deployment").values())


def test_a_service_reaches_its_own_database_alone() -> None:
    for name, policy in of_kind("production", "NetworkPolicy").items():
        if name.endswith("-database"):
            service = name.removesuffix("-database")
            assert policy["spec"]["podSelector"]["matchExpressions"][0]["values"] == [service, f"migrate-{service}"]
            peers = policy["spec"]["egress"][0]["to"]
            assert [peer["podSelector"]["matchLabels"]["cnpg.io/cluster"] for peer in peers] == [name]


def test_production_keeps_what_was_promised() -> None:
    kafka = of_kind("production", "Kafka")["counterfoil"]["spec"]["kafka"]
    assert kafka["config"]["min.insync.replicas"] == 2
    assert kafka["config"]["unclean.leader.election.enable"] is False
    for cluster in of_kind("production", "Cluster").values():
        assert cluster["spec"]["instances"] == 3
        assert cluster["spec"]["minSyncReplicas"] == 1
        assert cluster["spec"]["postgresql"]["parameters"]["synchronous_commit"] == "on"
