"""`make up SECURE=1`: certificates, the broker's settings, and that it is decided once."""

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from deploy.local import kafka
from deploy.local.access import OPERATOR, PLATFORM, USERS, grants
from deploy.local.certificates import ensure_certificates
from deploy.local.databases import our_url
from deploy.local.failures import SetupFailed
from deploy.local.places import Places
from deploy.local.postgres import PostgresFiles, postgres_program, tls_query
from deploy.local.security import Security, ensure_security
from deploy.local.services import without_secrets
from deploy.local.state import State
from shared.contracts.topics import ALL_TOPICS
from shared.kafka.access import Operation, Resource


@pytest.fixture
def security(tmp_path: Path) -> Security:
    found = ensure_security(Places(run=tmp_path, cache=tmp_path), State(), {"SECURE": "1"}, kafka_is_named=False)
    assert found is not None
    return found


def test_the_certificates_are_made_once_and_a_client_that_knows_the_authority_trusts_the_server(tmp_path: Path) -> None:
    made = ensure_certificates(tmp_path)
    before = made.server.read_text()
    assert ensure_certificates(tmp_path).server.read_text() == before
    assert stat.S_IMODE(made.server.stat().st_mode) == stat.S_IMODE(made.server_key.stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"ca.pem", "server.pem", "server-chain.pem", "server-key.pem"}
    server, authority = x509.load_pem_x509_certificates(made.server_chain.read_bytes())
    server.verify_directly_issued_by(authority)
    context = ssl.create_default_context(cafile=str(made.authority))
    assert len(context.get_ca_certs()) == 1


def test_a_word_that_says_neither_yes_nor_no_is_not_taken_for_a_plain_system(tmp_path: Path) -> None:
    places = Places(run=tmp_path, cache=tmp_path)
    assert ensure_security(places, State(), {"SECURE": "off"}, kafka_is_named=False) is None
    with pytest.raises(SetupFailed, match="SECURE has 'ja'"):
        ensure_security(places, State(), {"SECURE": "ja"}, kafka_is_named=False)


def test_the_broker_listens_by_tls_alone_and_refuses_whom_no_grant_names(security: Security, tmp_path: Path) -> None:
    at = kafka.KafkaPorts(client=1, controller=2)
    plain, secure = (kafka.settings_text(at, tmp_path, how) for how in (None, security))
    assert "SASL" not in plain
    assert "PLAINTEXT" not in secure
    told = dict(line.split("=", 1) for line in secure.splitlines())
    assert told["listener.security.protocol.map"] == "SASL_SSL:SASL_SSL,CONTROLLER:SSL"
    assert told["listeners"] == "SASL_SSL://127.0.0.1:1,CONTROLLER://127.0.0.1:2"
    assert told["allow.everyone.if.no.acl.found"] == "false"
    assert told["listener.name.controller.ssl.client.auth"] == "required"
    assert "ANONYMOUS" not in told["super.users"]


def test_grants_are_the_topics_own_lists_and_nobody_is_granted_everything() -> None:
    writers = {(g.user, g.name) for g in grants() if g.operation is Operation.WRITE}
    listed = {(producer, topic.name) for topic in ALL_TOPICS for producer in topic.producers}
    assert writers == {(PLATFORM if user == "game platforms" else user, name) for user, name in listed}
    assert {g.user for g in grants()} == set(USERS) - {OPERATOR}
    assert all(g.name not in ("*", "") for g in grants())
    groups = {(g.user, g.operation, g.name) for g in grants() if g.resource is Resource.GROUP and g.user == "ranking"}
    assert groups == {
        ("ranking", Operation.READ, "counterfoil.ranking"),
        ("ranking", Operation.DESCRIBE, "counterfoil.redemption"),
    }


def test_a_service_is_told_its_own_user_alone(security: Security) -> None:
    told = security.kafka_settings("ranking")
    assert told["KAFKA_USERNAME"] == "ranking"
    others = {password for user, password in security.passwords.items() if user != "ranking"}
    assert not others & set(told.values())
    shell = {**security.described, "LOG_LEVEL": "debug"}
    assert "PLATFORM_KAFKA_PASSWORD" in shell
    assert not [name for name in without_secrets(shell) if name.startswith("PLATFORM_")]


def test_a_system_stays_as_it_was_made(tmp_path: Path) -> None:
    places, made_plain = Places(run=tmp_path, cache=tmp_path), State(kafka_port=19092)
    assert ensure_security(places, made_plain, {}, kafka_is_named=False) is None
    with pytest.raises(SetupFailed, match="make clean"):
        ensure_security(places, made_plain, {"SECURE": "1"}, kafka_is_named=False)
    with pytest.raises(SetupFailed, match="names one"):
        ensure_security(places, State(), {"SECURE": "1"}, kafka_is_named=True)
    state = State()
    first = ensure_security(places, state, {"SECURE": "1"}, kafka_is_named=False)
    assert ensure_security(places, state, {}, kafka_is_named=False) == first


def test_postgres_with_an_authority_serves_tls_and_clients_check_its_certificate(tmp_path: Path) -> None:
    files = PostgresFiles(folder=tmp_path, binaries=tmp_path, account=None, authority=tmp_path / "ca.pem")
    assert "ssl=on" in postgres_program(tmp_path, files, 1).command
    url = our_url("ranking", State(role_passwords={"ranking": "p"}, postgres_port=5), tls_query(files.authority))
    assert url == f"postgresql://ranking:p@127.0.0.1:5/counterfoil?sslmode=verify-full&sslrootcert={tmp_path}/ca.pem"
    assert tls_query(None) == ""
