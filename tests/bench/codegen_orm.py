"""The same 200 thousand codes as Django's ORM would make them: `save()` a row, and `bulk_create`, on the same Postgres.

Django lives in an environment of the benchmark's own, under the cache; it is no part of the project.
"""

import asyncio
import json
import subprocess
import sys
import venv
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deploy.local.places import default_cache
from tests.bench.codegen_process import Figures, bench_codegen

CODES = 200_000
PINNED = ("django==5.2.9", "psycopg[binary]==3.2.13")
SCRIPT = Path(__file__).with_name("codegen_orm_django.py.txt")


def run() -> dict[str, object]:
    """Seconds and ratios; at most 1/100 of `save()` and 1/15 of `bulk_create` are the aims."""
    return bench_codegen(_measure)


async def _measure(figures: Figures) -> dict[str, object]:
    python = await asyncio.to_thread(_environment)
    await figures.published(CODES, 500)
    ours = min([await figures.published(CODES, 500) for _ in range(3)])
    at = urlsplit(figures.database_url)
    database = {
        "NAME": at.path.removeprefix("/"),
        "USER": unquote(at.username or ""),
        "PASSWORD": unquote(at.password or ""),
        "HOST": at.hostname,
        "PORT": at.port,
    }
    django = await asyncio.create_subprocess_exec(
        str(python), "-", json.dumps(database), str(CODES), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await django.communicate(SCRIPT.read_bytes())
    seconds = json.loads(out)
    return {
        "codes": CODES,
        "django": seconds["version"],
        "request_to_published_seconds": round(ours, 2),
        "django_save_seconds": round(seconds["save"], 1),
        "django_bulk_create_seconds": round(seconds["bulk_create"], 1),
        "save_is_slower_by": round(seconds["save"] / ours),
        "bulk_create_is_slower_by": round(seconds["bulk_create"] / ours, 1),
    }


def _environment() -> Path:
    """The Python of an environment that has Django, made the first time."""
    folder = default_cache() / "bench-django"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PINNED], check=True, stdout=sys.stderr)
        (folder / "ready").touch()
    return python


if __name__ == "__main__":
    print(json.dumps(run()))
