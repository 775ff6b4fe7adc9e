"""What `make up` remembers between runs: ports, copies, the roles' passwords, and with what each process was started."""

from pathlib import Path

import msgspec

from deploy.local.env_file import write_private
from deploy.local.failures import SetupFailed


class State(msgspec.Struct, kw_only=True):
    """Kept in `.run/state.json`, its owner's alone. A port of 0 was not chosen yet."""

    kafka_port: int = 0
    kafka_controller_port: int = 0
    postgres_port: int = 0
    service_ports: dict[str, int] = {}
    copies: dict[str, int] = {}
    role_passwords: dict[str, str] = {}
    secure: bool = False
    kafka_passwords: dict[str, str] = {}
    started_with: dict[str, str] = {}
    """By process name: a hash of the environment it was started with, to see when it no longer fits."""


def load_state(path: Path) -> State:
    """The state of the last run, or a new one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except msgspec.DecodeError as error:
        raise SetupFailed(f"{path} is damaged ({error}): run `make down`, delete the file, then run this again.") from error


def save_state(path: Path, state: State) -> None:
    """Replaces the file at once."""
    write_private(path, msgspec.json.format(msgspec.json.encode(state)).decode() + "\n")
