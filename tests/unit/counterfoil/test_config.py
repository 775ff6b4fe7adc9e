"""`counterfoil config`: every problem at once, none of their values, and a table that is fresh."""

from pathlib import Path

import pytest

from counterfoil.commands.config import TABLE, find_problems, settings_document
from counterfoil.commands.operate import ServiceName

GOOD = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "DATABASE_URL": "postgresql://someone:secret@db/counterfoil",
    "CODE_KEYS": '{"keys": [{"id": "k1", "key": "' + "ab" * 32 + '"}]}',
}


def test_the_table_is_fresh() -> None:
    """Else: `counterfoil config table`."""
    assert TABLE.read_text() == settings_document()


@pytest.mark.parametrize("name", list(ServiceName))
def test_a_good_environment_has_no_problem(name: ServiceName) -> None:
    assert list(find_problems(name, GOOD)) == []


def test_all_problems_are_named_at_once_without_their_values() -> None:
    environment = {
        "DATABASE_URL": "mysql://root:hunter2@db",
        "REDEMPTION_BATCH_RECORDS": "many",
        "REDEMPTION_PORT": "70000",
        "REDEMPTION_BATCH_RECORD": "7",
        "CODE_KEYS_FILE": "/nowhere/keys.json",
    }
    problems = list(find_problems(ServiceName.REDEMPTION, environment))
    assert [problem.partition(":")[0] for problem in problems] == [
        "KAFKA_BOOTSTRAP_SERVERS",
        "REDEMPTION_DATABASE_URL or DATABASE_URL",
        "REDEMPTION_PORT or PORT",
        "REDEMPTION_BATCH_RECORDS",
        "CODE_KEYS_FILE names /nowhere/keys.json, which cannot be read",
        "REDEMPTION_BATCH_RECORD",
    ]
    assert not [problem for problem in problems if "hunter2" in problem or "many" in problem]


def test_ranking_and_reporting_need_no_key_ring() -> None:
    environment = {name: value for name, value in GOOD.items() if name != "CODE_KEYS"}
    assert list(find_problems(ServiceName.RANKING, environment)) == []
    assert [problem[:9] for problem in find_problems(ServiceName.CODEGEN, environment)] == ["CODE_KEYS"]


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(GOOD["DATABASE_URL"] + "\n")
    environment = {**GOOD, "REPORTING_DATABASE_URL_FILE": str(tmp_path / "url")}
    del environment["DATABASE_URL"]
    assert list(find_problems(ServiceName.REPORTING, environment)) == []


def test_production_refuses_plain_text_and_open_keys(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(GOOD["CODE_KEYS"])
    keys.chmod(0o644)
    environment = {**GOOD, "CODE_KEYS_FILE": str(keys), "COUNTERFOIL_ENVIRONMENT": "production"}
    problems = list(find_problems(ServiceName.CODEGEN, environment))
    assert len(problems) == 2
    assert "KAFKA_SECURITY_PROTOCOL" in problems[0]
    assert "chmod" in problems[1]
    keys.chmod(0o600)
    secured = {**environment, "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
    assert list(find_problems(ServiceName.CODEGEN, secured)) == []
