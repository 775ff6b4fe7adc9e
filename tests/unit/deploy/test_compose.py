"""docker-compose.yml describes the system that `make up` starts, and holds no secret."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.containers.__main__ import GRAFANA_PASSWORD_FILE, KEY_RING_FILE, PASSWORD_FILE, make_secrets, url_file
from deploy.local import kafka, postgres
from deploy.local.databases import SERVICES, url_variable
from deploy.local.places import CHECKOUT
from deploy.local.services import NEED_CODE_KEYS, service_settings
from shared.codes.key_ring import parse_key_ring

ADDRESSES = {"node.id", "listeners", "advertised.listeners", "listener.security.protocol.map", "log.dirs"}
QUORUM = {"controller.quorum.bootstrap.servers"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
    return loaded


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_told_in_a_container_what_make_up_tells_it(compose: dict[str, Any], service: str) -> None:
    told_locally = service_settings(service, kafka="k:1", url="postgresql://x", port=1, code_keys=Path("keys"))
    told = set(compose["services"][service]["environment"])
    assert told == {name if name != url_variable(service) else f"{name}_FILE" for name in told_locally}
    assert compose["services"][service]["command"] == [f"services.{service}"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_sees_its_own_secrets_alone(compose: dict[str, Any], service: str) -> None:
    mounted = {volume.split(":")[0] for volume in compose["services"][service]["volumes"]}
    assert mounted == {f"secrets-{service}"} | ({"secrets-keys"} if service in NEED_CODE_KEYS else set())
    assert all(volume.endswith(":ro") for volume in compose["services"][service]["volumes"])


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_hardened_and_waits_for_topics_and_migrations(compose: dict[str, Any], service: str) -> None:
    described = compose["services"][service]
    assert described["read_only"]
    assert described["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in described["security_opt"]
    assert "/readyz" in str(described["healthcheck"]["test"])
    assert set(described["depends_on"]) == {"topics", "migrations"}


def test_kafka_has_the_settings_of_make_up(compose: dict[str, Any]) -> None:
    told = compose["services"]["kafka"]["environment"]
    local = dict(line.split("=", 1) for line in kafka.SETTINGS.splitlines())
    for name, value in local.items():
        if name not in ADDRESSES | QUORUM:
            assert told["KAFKA_" + name.upper().replace(".", "_")] == value, name


def test_postgres_has_the_settings_of_make_up(compose: dict[str, Any]) -> None:
    arguments = compose["services"]["postgres"]["command"]
    told = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    local = {
        name for name in postgres.SETTINGS if name not in ("listen_addresses", "unix_socket_directories", "log_line_prefix")
    }
    assert told == {name: postgres.SETTINGS[name] for name in local}


def test_what_watches_is_in_a_profile_of_its_own_and_reads_the_repository(compose: dict[str, Any]) -> None:
    for name in ("prometheus", "grafana"):
        described = compose["services"][name]
        assert described["profiles"] == ["watching"]
        assert described["read_only"]
    mounted = {volume.rpartition(":")[0] for n in ("prometheus", "grafana") for volume in compose["services"][n]["volumes"]}
    assert "./deploy/prometheus:/etc/prometheus" in mounted
    assert "./deploy/grafana/provisioning:/etc/grafana/provisioning" in mounted


def test_images_are_pinned_by_version(compose: dict[str, Any]) -> None:
    for name, described in compose["services"].items():
        version = described["image"].rpartition(":")[2]
        assert version == "${COUNTERFOIL_VERSION:-dev}".rpartition(":")[2] or re.match(r"v?\d+\.\d+", version), name
    for image in re.findall(r"^FROM (\S+)", (CHECKOUT / "deploy" / "Dockerfile").read_text(), re.MULTILINE):
        assert re.search(r":\d+\.\d+", image), image


def test_the_image_has_the_client_of_the_servers_own_version_and_the_command_line_a_place_for_backups(
    compose: dict[str, Any],
) -> None:
    dockerfile = (CHECKOUT / "deploy" / "Dockerfile").read_text()
    assert f"\nFROM {compose['services']['postgres']['image']} AS postgres\n" in dockerfile
    assert "\nCOPY --from=postgres /client /opt/postgresql\n" in dockerfile.rpartition("\nFROM ")[2]
    assert "backups:/backups" in compose["services"]["cli"]["volumes"]


def test_what_is_depended_on_has_a_health_check_or_ends(compose: dict[str, Any]) -> None:
    for described in compose["services"].values():
        for name, wanted in described.get("depends_on", {}).items():
            other = compose["services"][name]
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in other, name
            else:
                assert other["restart"] == "no", name


def test_no_secret_is_written_in_the_file(compose: dict[str, Any]) -> None:
    for described in compose["services"].values():
        for name, value in described.get("environment", {}).items():
            if "PASSWORD" in name or "TOKEN" in name or "DATABASE_URL" in name or "KEYS" in name:
                assert name.endswith("_FILE"), name
                assert str(value).startswith("/secrets/"), name


def test_the_dockerfile_ends_as_an_account_without_rights() -> None:
    last_stage = (CHECKOUT / "deploy" / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert "\nUSER 10001:10001\n" in last_stage
    assert "pip install" not in last_stage


@pytest.mark.parametrize("requirements", ["services", "tracing"])
def test_what_the_image_takes_is_sent_to_its_build(requirements: str) -> None:
    sent = [line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    dockerfile = (CHECKOUT / "deploy" / "Dockerfile").read_text()
    taken = re.findall(r"^COPY ([^-\s]\S*)", dockerfile.replace("${REQUIREMENTS}", requirements), re.MULTILINE)
    assert f"requirements/{requirements}.txt" in taken
    assert [path for path in taken if path not in sent or not (CHECKOUT / path).exists()] == []


def test_secrets_are_made_once(tmp_path: Path) -> None:
    make_secrets(tmp_path, postgres_host="postgres:5432")
    files = [PASSWORD_FILE, GRAFANA_PASSWORD_FILE, KEY_RING_FILE, *(url_file(service) for service in SERVICES)]
    made = {file: (tmp_path / file).read_text() for file in files}
    assert len(parse_key_ring(made[KEY_RING_FILE]).keys) == 1
    make_secrets(tmp_path, postgres_host="postgres:5432")
    assert {file: (tmp_path / file).read_text() for file in files} == made
    assert len(set(made.values())) == len(made)
