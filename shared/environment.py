"""Reading the environment: one frozen settings object a service, every problem reported at once, secrets from files.

A variable `NAME` may be given as `NAME_FILE`, the path of a file that holds the value (container secrets).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.codes.key_ring import InvalidKeyRing, KeyRing, parse_key_ring


class SettingsError(Exception):
    """The environment does not describe a service that could run. The text has a line for each problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConnection:
    """Where Kafka is, and how to speak to it. `topic_prefix` sets apart systems (or tests) that share a broker."""

    bootstrap_servers: str
    topic_prefix: str = ""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    username: str | None = None
    password: str | None = None
    ca_file: Path | None = None

    def physical(self, name: str) -> str:
        """The broker's name of a topic or group of ours."""
        return self.topic_prefix + name

    def logical(self, name: str) -> str:
        """Our name of a topic of the broker's."""
        return name.removeprefix(self.topic_prefix)

    def __repr__(self) -> str:
        return f"KafkaConnection({self.bootstrap_servers!r}, topic_prefix={self.topic_prefix!r})"


class KafkaSettings(BaseSettings):
    """How to reach Kafka, for whatever does: services, the command line, operators' steps."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True)

    kafka_bootstrap_servers: str = Field(description="Kafka's addresses, host:port separated by commas")
    kafka_topic_prefix: str = Field(default="", description="Put before every topic's and group's name")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How to speak to Kafka"
    )
    kafka_username: str | None = Field(default=None, description="SCRAM user of this service")
    kafka_password: str | None = Field(default=None, description="SCRAM password of this service")
    kafka_ca_file: Path | None = Field(default=None, description="Certificate authority of Kafka's certificates")

    @property
    def kafka(self) -> KafkaConnection:
        return KafkaConnection(
            bootstrap_servers=self.kafka_bootstrap_servers,
            topic_prefix=self.kafka_topic_prefix,
            security_protocol=self.kafka_security_protocol,
            username=self.kafka_username,
            password=self.kafka_password,
            ca_file=self.kafka_ca_file,
        )


class ServiceSettings(KafkaSettings):
    """What every service needs. A service's own settings class adds to it and sets `database_url`'s alias."""

    database_url: str = Field(description="postgresql:// address of this service's own schema, as its own role")
    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=0, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    http_requests_a_minute: int | None = Field(
        default=None, ge=1, description="Requests a minute that each token may make of a copy; no limit if not set"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged")
    log_format: Literal["json", "console"] = Field(default="json", description="One JSON object a line, or text for people")
    counterfoil_environment: Literal["development", "production"] = Field(
        default="development", description="production refuses what is only fit for trying out"
    )

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: str) -> str:
        return postgres_address(value)


def postgres_address(text: str) -> str:
    """The text, if it is an address of Postgres: of one server, or of several with commas between them.

    Raises ValueError with a sentence that does not repeat it, for it may hold a password.
    """
    if not text.startswith(("postgresql://", "postgres://")):
        message = "must be a postgresql:// address"
        raise ValueError(message)
    servers = text.partition("://")[2].partition("?")[0].partition("/")[0].rpartition("@")[2].split(",")
    ports = [server.rpartition("]")[2].partition(":")[2] for server in servers]
    if any(port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536) for port in ports):
        message = "must be a postgresql:// address with a number as its port; in a password, write / as %2F and : as %3A"
        raise ValueError(message)
    return text


def service_variable(service: str, name: str, **field: Any) -> Any:
    """A settings field read from `<SERVICE>_<NAME>`, else from `<NAME>` (so that one file can configure all four)."""
    return Field(validation_alias=AliasChoices(f"{service.upper()}_{name.upper()}", name.upper()), **field)


Settings = TypeVar("Settings", bound=BaseSettings)


def read_settings(settings: type[Settings], environment: Mapping[str, str] | None = None) -> Settings:
    """The settings that the environment describes (the process's own by default).

    Raises SettingsError naming every variable that is missing or wrong, without its value.
    """
    values = with_secret_files(os.environ if environment is None else environment)
    try:
        return settings.model_validate({name: values[key] for name, key in _present(settings, values)})
    except ValidationError as error:
        lines = [_sentence(settings, problem["loc"], problem["msg"]) for problem in error.errors(include_input=False)]
        raise SettingsError("\n".join(lines)) from None


def kafka_connection(environment: Mapping[str, str] | None = None) -> KafkaConnection:
    """How the environment says that Kafka is reached. Raises SettingsError where it does not, as `read_settings`."""
    return read_settings(KafkaSettings, environment).kafka


def variable_names(settings: type[BaseSettings], field: str) -> tuple[str, ...]:
    """The environment variables that give a field's value, the first that is set winning."""
    alias = settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (str(alias) if alias else field.upper(),)


def with_secret_files(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with each `NAME_FILE` whose `NAME` is not set read into `NAME`.

    `CODE_KEYS_FILE` is left to `read_code_keys`. Raises SettingsError for a file that cannot be read.
    """
    values = dict(environment)
    for name, path in environment.items():
        target = name.removesuffix("_FILE")
        if target in (name, "CODE_KEYS", "KAFKA_CA") or target in environment or not target:
            continue
        if not target.endswith(("_PASSWORD", "_URL", "_TOKEN", "_SECRET")):
            continue
        try:
            values[target] = Path(path).read_text().strip()
        except OSError as error:
            raise SettingsError(f"{name} names {path}, which cannot be read: {error.strerror}") from None
    return values


def read_code_keys(environment: Mapping[str, str] | None = None) -> KeyRing:
    """The key ring from the file that `CODE_KEYS_FILE` names, else from `CODE_KEYS` itself.

    Raises SettingsError with a sentence that says what to do.
    """
    values = os.environ if environment is None else environment
    path = values.get("CODE_KEYS_FILE")
    if path is None and "CODE_KEYS" not in values:
        raise SettingsError("CODE_KEYS_FILE is not set: name the key ring's file (make one with `counterfoil keys new`)")
    try:
        text = Path(path).read_text() if path is not None else values["CODE_KEYS"]
    except OSError as error:
        raise SettingsError(f"CODE_KEYS_FILE names {path}, which cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"CODE_KEYS_FILE names {path}, which is not text in UTF-8, so no key ring") from None
    try:
        return parse_key_ring(text)
    except InvalidKeyRing as error:
        raise SettingsError(f"{'CODE_KEYS_FILE' if path else 'CODE_KEYS'}: {error}") from None


def _present(settings: type[BaseSettings], values: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (field, name)
        for field in settings.model_fields
        for name in [next((n for n in variable_names(settings, field) if values.get(n)), None)]
        if name is not None
    ]


def _sentence(settings: type[BaseSettings], location: tuple[int | str, ...], message: str) -> str:
    field = str(location[0]) if location else ""
    names = next(
        (variable_names(settings, name) for name in settings.model_fields if field in (name, *variable_names(settings, name))),
        (field,),
    )
    what = "is not set" if message == "Field required" else message.removeprefix("Value error, ")
    return f"{' or '.join(names)}: {what}"
