"""`python -m deploy.containers secrets|schemas`: the two one-shot steps of `docker compose up` before the migrations.

`secrets` makes every password and the key ring, each in a folder of its own under COUNTERFOIL_SECRETS (a volume each, so that a
container sees its own alone). `schemas` makes roles and schemas with them. Run again, both change nothing.
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from deploy.local.databases import DATABASE, SERVICES, ensure_schemas
from shared.codes.key_ring import KeyRing, new_key

PASSWORD_FILE: Final = Path("postgres", "password")
GRAFANA_PASSWORD_FILE: Final = Path("grafana", "password")
KEY_RING_FILE: Final = Path("keys", "code-keys.json")
FIRST_KEY: Final = "k1"
READABLE_IN_ITS_VOLUME: Final = 0o444


def make_secrets(folder: Path, *, postgres_host: str) -> None:
    """Writes what is not there yet. A secret that was made is never replaced."""
    for password_file in (PASSWORD_FILE, GRAFANA_PASSWORD_FILE):
        _write_once(folder / password_file, secrets.token_urlsafe(24))
    for service in SERVICES:
        url = f"postgresql://{service}:{secrets.token_urlsafe(24)}@{postgres_host}/{DATABASE}"
        _write_once(folder / url_file(service), url)
    _write_once(folder / KEY_RING_FILE, KeyRing((new_key(FIRST_KEY, secrets.token_bytes(32)),)).to_json())


def url_file(service: str) -> Path:
    """The file of a service's database address, in the secrets' folder."""
    return Path(service, "database_url")


async def make_schemas(folder: Path, *, postgres_host: str) -> None:
    """Roles and schemas for the addresses that `make_secrets` made."""
    password = (folder / PASSWORD_FILE).read_text()
    urls = {service: (folder / url_file(service)).read_text() for service in SERVICES}
    passwords = {service: str(urlsplit(url).password) for service, url in urls.items()}
    await ensure_schemas(f"postgresql://postgres:{password}@{postgres_host}/postgres", passwords, renew=SERVICES)


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Runs one step and returns the exit status."""
    folder = Path(environment.get("COUNTERFOIL_SECRETS", "/secrets"))
    host = environment.get("POSTGRES_HOST", "postgres:5432")
    if list(arguments) == ["secrets"]:
        make_secrets(folder, postgres_host=host)
    elif list(arguments) == ["schemas"]:
        asyncio.run(make_schemas(folder, postgres_host=host))
    else:
        print("usage: python -m deploy.containers secrets|schemas", file=sys.stderr)
        return 2
    return 0


def _write_once(path: Path, text: str) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(READABLE_IN_ITS_VOLUME)
    new.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
