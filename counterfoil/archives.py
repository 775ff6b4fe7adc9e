"""Back-ups of one service's schema: made by pg_dump in one snapshot, put back by psql in one transaction.

The programs are those that `make up` uses: the folder in COUNTERFOIL_POSTGRES_BIN, the wheel's, PATH, Debian's.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from counterfoil.environment import CommandError
from deploy.local.postgres_programs import candidates

EMPTY_SCHEMA: Final = """
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT c.oid::regclass AS name, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind
        FROM pg_class c
        WHERE c.relnamespace = '{schema}'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i') AND c.relkind = 'S')
    LOOP
        EXECUTE format('DROP %s IF EXISTS %s CASCADE', found.kind, found.name);
    END LOOP;
    FOR found IN SELECT p.oid::regprocedure AS name FROM pg_proc p WHERE p.pronamespace = '{schema}'::regnamespace LOOP
        EXECUTE format('DROP FUNCTION IF EXISTS %s CASCADE', found.name);
    END LOOP;
END
$$;
"""
"""Drops what is in the schema. The schema itself stays: a service's role may not make one."""

OTHER_SESSIONS: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE usename = current_user AND datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A service's schema where its address leads. The password goes to the programs by their environment alone."""

    schema: str
    url: str = field(repr=False)

    @property
    def address(self) -> str:
        """The URL without its password."""
        parts = urlsplit(self.url)
        user, _, host = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{host}" if user else host))

    def environment(self) -> dict[str, str]:
        """What the programs run with."""
        password = urlsplit(self.url).password
        return {**os.environ, **({"PGPASSWORD": unquote(password)} if password else {}), "PGCONNECT_TIMEOUT": "10"}


def start_dump(database: Database, file: Path) -> subprocess.Popen[str]:
    """Starts writing the schema as of now into the file, in pg_dump's custom format. `finish` has to follow."""
    command = [program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", f"--schema={database.schema}"]
    command += [f"--file={file}", database.address]
    return subprocess.Popen(command, env=database.environment(), stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], what: str) -> None:
    """Raises CommandError with the program's own last line when it failed."""
    _, said = process.communicate()
    if process.returncode:
        raise CommandError(f"{what}: {(said.strip().splitlines() or ['it said nothing'])[-1]}")


def restore(database: Database, file: Path) -> None:
    """Puts the schema back as it is in the file: all of it or, where anything fails, none of it."""
    read = [program("pg_restore"), "--no-owner", "--no-privileges", f"--schema={database.schema}", "--file=-", str(file)]
    write = [*_psql(database), "--single-transaction", "--file=-"]
    with (
        subprocess.Popen(read, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reading,
        subprocess.Popen(
            write, env=database.environment(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as writing,
    ):
        assert reading.stdout is not None
        assert writing.stdin is not None
        try:
            writing.stdin.write(EMPTY_SCHEMA.format(schema=database.schema).encode())
            shutil.copyfileobj(reading.stdout, writing.stdin, 1024 * 1024)
            complete = reading.wait() == 0
            writing.stdin.write(b"" if complete else b"\nSELECT the_archive_is_not_complete;\n")
            writing.stdin.close()
        except BrokenPipeError:
            reading.kill()
        said = (writing.stderr.read() if writing.stderr else b"") or (reading.stderr.read() if reading.stderr else b"")
    if writing.returncode or reading.returncode:
        raise CommandError(f"nothing was changed: {(said.decode().strip().splitlines() or ['psql said nothing'])[-1]}")


def content(file: Path) -> str:
    """The schema that an archive holds. Raises CommandError for a file that is none."""
    result = subprocess.run([program("pg_restore"), "--list", file], capture_output=True, text=True, check=False)
    if result.returncode:
        raise CommandError(f"{file} is no back-up: {result.stderr.strip() or 'pg_restore cannot read it'}")
    entries = [line.split() for line in result.stdout.splitlines()]
    schemas = {entry[4] for entry in entries if len(entry) > 5 and entry[3] == "TABLE" and entry[4] not in ("DATA", "ATTACH")}
    return ", ".join(sorted(schemas))


def other_sessions(database: Database) -> int:
    """Sessions of the service's role beside ours: copies of the service that still run."""
    result = subprocess.run(
        [*_psql(database), "--tuples-only", "--no-align", f"--command={OTHER_SESSIONS}"],
        env=database.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise CommandError(f"the database does not let us in: {result.stderr.strip().splitlines()[-1]}")
    return int(result.stdout)


def program(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The path of one of PostgreSQL's programs. Raises CommandError when there is none."""
    for folder in candidates(environment, name):
        if (folder / name).exists():
            return str(folder / name)
    raise CommandError(
        f"there is no {name} here: install PostgreSQL's client programs, or name their folder in COUNTERFOIL_POSTGRES_BIN"
    )


def _psql(database: Database) -> list[str]:
    return [program("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={database.address}"]
