"""`make up SECURE=1`: Kafka with TLS and a SCRAM user per service, Postgres with TLS where the server has it."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.access import OPERATOR, PLATFORM, USERS
from deploy.local.certificates import Certificates, ensure_certificates
from deploy.local.failures import SetupFailed
from deploy.local.places import Places
from deploy.local.state import State
from shared.environment import KafkaConnection

VARIABLE: Final = "SECURE"
YES: Final = ("1", "true", "yes", "on")
NO: Final = ("", "0", "false", "no", "off")
PROTOCOL: Final = "SASL_SSL"
PLATFORM_PREFIX: Final = "PLATFORM_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """The certificates of this run folder, and each Kafka user's password."""

    certificates: Certificates
    passwords: Mapping[str, str]

    def kafka_settings(self, user: str) -> dict[str, str]:
        """What a process of this user is told."""
        return {
            "KAFKA_SECURITY_PROTOCOL": PROTOCOL,
            "KAFKA_USERNAME": user,
            "KAFKA_PASSWORD": self.passwords[user],
            "KAFKA_CA_FILE": str(self.certificates.authority),
        }

    @property
    def described(self) -> dict[str, str]:
        """What `.run/env` says of it: the operator's credentials, and those of a game platform beside them."""
        platform = self.kafka_settings(PLATFORM)
        return self.kafka_settings(OPERATOR) | {
            f"{PLATFORM_PREFIX}{name}": platform[name] for name in ("KAFKA_USERNAME", "KAFKA_PASSWORD")
        }

    def connection(self, bootstrap_servers: str, user: str = OPERATOR, *, topic_prefix: str = "") -> KafkaConnection:
        """How that user reaches the broker."""
        return KafkaConnection(
            bootstrap_servers=bootstrap_servers,
            topic_prefix=topic_prefix,
            security_protocol=PROTOCOL,
            username=user,
            password=self.passwords[user],
            ca_file=self.certificates.authority,
        )


def ensure_security(places: Places, state: State, environment: Mapping[str, str], *, kafka_is_named: bool) -> Security | None:
    """The security of this system, made the first time; None where it was not asked for. It stays as the system was made.

    Raises SetupFailed when it is asked for on a system that was made without it, or on a broker that is not ours.
    """
    asked = is_asked_for(environment)
    if not asked and not state.secure:
        return None
    if asked and not state.secure:
        if state.kafka_port:
            raise SetupFailed(
                f"This system was made without {VARIABLE}=1: delete its data with `make clean`, then run this again."
            )
        if kafka_is_named:
            raise SetupFailed(
                f"{VARIABLE}=1 secures a Kafka of our own, and the environment names one: unset it, or set "
                "KAFKA_SECURITY_PROTOCOL, KAFKA_USERNAME, KAFKA_PASSWORD and KAFKA_CA_FILE for it."
            )
    state.secure = True
    state.kafka_passwords = ensure_kafka_passwords(state.kafka_passwords)
    return Security(certificates=ensure_certificates(certificate_folder(places)), passwords=state.kafka_passwords)


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether SECURE says so. Raises SetupFailed for a word that says neither yes nor no: it must not mean a plain system."""
    text = environment.get(VARIABLE, "").lower()
    if text not in (*YES, *NO):
        raise SetupFailed(f"{VARIABLE} has {environment[VARIABLE]!r}: write {VARIABLE}=1, or leave it out.")
    return text in YES


def ensure_kafka_passwords(known: Mapping[str, str], users: Iterable[str] = USERS) -> dict[str, str]:
    """A random password for each user that has none."""
    return {user: known.get(user) or secrets.token_urlsafe(24) for user in users}


def certificate_folder(places: Places) -> Path:
    """Where they are kept."""
    return places.run / "certificates"
