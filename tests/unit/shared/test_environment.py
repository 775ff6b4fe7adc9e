"""Settings: every problem at once, by name and without its value; secrets from files."""

from pathlib import Path

import pytest
from pydantic import Field

from shared.environment import (
    ServiceSettings,
    SettingsError,
    postgres_address,
    read_code_keys,
    read_settings,
    service_variable,
)


class ExampleSettings(ServiceSettings):
    database_url: str = service_variable("example", "database_url", description="Where")
    port: int = service_variable("example", "port", default=0, ge=0, le=65535, description="Where")
    example_size: int = Field(default=5, ge=1)


GOOD = {"KAFKA_BOOTSTRAP_SERVERS": "localhost:9092", "EXAMPLE_DATABASE_URL": "postgresql://example@localhost/x"}


def test_a_services_own_variable_wins_over_the_common_one() -> None:
    settings = read_settings(
        ExampleSettings, {**GOOD, "DATABASE_URL": "postgresql://other/x", "PORT": "1", "EXAMPLE_PORT": "2"}
    )
    assert settings.database_url == GOOD["EXAMPLE_DATABASE_URL"]
    assert settings.port == 2
    assert read_settings(ExampleSettings, {**GOOD, "PORT": "1"}).port == 1


def test_all_problems_are_reported_at_once_by_name_and_without_values() -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(ExampleSettings, {"DATABASE_URL": "mysql://secret", "EXAMPLE_SIZE": "0", "LOG_LEVEL": "loud"})
    text = str(error.value)
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "EXAMPLE_DATABASE_URL or DATABASE_URL", "EXAMPLE_SIZE", "LOG_LEVEL"):
        assert name in text
    assert "secret" not in text
    assert "loud" not in text
    assert len(text.splitlines()) == 4


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://file/x\n")
    environment = {"KAFKA_BOOTSTRAP_SERVERS": "k:1", "EXAMPLE_DATABASE_URL_FILE": str(tmp_path / "url")}
    assert read_settings(ExampleSettings, environment).database_url == "postgresql://file/x"
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(ExampleSettings, {**environment, "EXAMPLE_DATABASE_URL_FILE": str(tmp_path / "nothing")})


def test_the_key_ring_comes_from_its_file_or_the_variable(tmp_path: Path) -> None:
    text = '{"keys": [{"id": "k1", "key": "' + "ab" * 32 + '"}]}'
    (tmp_path / "keys.json").write_text(text)
    assert read_code_keys({"CODE_KEYS_FILE": str(tmp_path / "keys.json")}).newest.id == "k1"
    assert read_code_keys({"CODE_KEYS": text}).newest.id == "k1"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "counterfoil keys new"),
        ({"CODE_KEYS_FILE": "nowhere.json"}, "cannot be read"),
        ({"CODE_KEYS": "abababababababab"}, "CODE_KEYS: a key ring is"),
    ],
)
def test_a_key_ring_that_is_not_there_is_said_in_a_sentence(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as error:
        read_code_keys(environment)
    assert "abab" not in str(error.value)


def test_a_key_file_that_is_no_text_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not text in UTF-8"):
        read_code_keys({"CODE_KEYS_FILE": str(tmp_path / "keys.json")})


@pytest.mark.parametrize(
    "address",
    [
        "postgres://u@localhost/x",
        "postgresql://u:p%2Fw@db.example:5432/x?sslmode=verify-full",
        "postgresql://u:p@one:5432,two:5433,three/x",
        "postgresql://u:p@[::1]:5432/x",
        "postgresql://[::1]/x",
        "postgresql:///x?host=/var/run/postgresql",
    ],
)
def test_addresses_of_postgres(address: str) -> None:
    assert postgres_address(address) == address


@pytest.mark.parametrize(
    "address", ["localhost:5432/x", "mysql://u@h/x", "postgresql://u:secret@h:port/x", "postgresql://u:sec/ret@h:5432/x"]
)
def test_what_is_no_address_of_postgres_is_refused_without_telling_it(address: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings(ExampleSettings, {**GOOD, "EXAMPLE_DATABASE_URL": address})
    assert "EXAMPLE_DATABASE_URL" in str(refused.value)
    assert "sec" not in str(refused.value)
