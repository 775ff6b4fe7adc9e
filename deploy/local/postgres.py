"""One PostgreSQL server for one machine: over TCP on 127.0.0.1, with passwords, never as root."""

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from deploy.local import processes
from deploy.local.certificates import Certificates
from deploy.local.env_file import write_private
from deploy.local.failures import SetupFailed, told_by_sentence
from deploy.local.ports import LOCAL
from deploy.local.postgres_programs import OLDEST_VERSION, copy_wheel, find_binaries, speaks_tls, version_of
from deploy.local.processes import Account, Program

USUAL_PORT: Final = 15432
FIRST_WITH_BUILTIN_LOCALE: Final = 17
SUPERUSER: Final = "postgres"
START_SECONDS: Final = 120.0
STARTED: Final = b"ready to accept connections"
STOP_SIGNAL: Final = signal.SIGINT
"""Ends sessions at once and the server in good order; SIGTERM would wait for clients."""

ACCOUNTS: Final = ("postgres", "nobody")

SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": LOCAL,
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "maintenance_work_mem": "256MB",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}


TLS_ALONE: Final = """\
# TYPE   DATABASE  USER  ADDRESS       METHOD
hostssl  all       all   127.0.0.1/32  scram-sha-256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresFiles:
    """Where the server's data and programs are, and whom it runs as (None: whoever starts it).

    With an `authority` it takes connections by TLS alone, with a certificate of that authority's.
    """

    folder: Path
    binaries: Path
    account: Account | None
    authority: Path | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def certificate(self) -> Path:
        return self.folder / "server-chain.pem"

    @property
    def certificate_key(self) -> Path:
        return self.folder / "server-key.pem"

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    @property
    def password(self) -> str:
        return self.password_file.read_text().strip()


def prepare_files(owner: Path, environment: Mapping[str, str] = os.environ) -> PostgresFiles:
    """Finds the programs and a folder for the data; when root, both where the server's own account may go.

    Raises SetupFailed when there is no PostgreSQL, or no account to run it as.
    """
    account = server_account() if os.geteuid() == 0 else None
    folder = data_folder(owner, account)
    with told_by_sentence("making Postgres' folder", folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if account:
            os.chown(folder, account.uid, account.gid)
        binaries = find_binaries(environment)
        if account and not may_reach(binaries / "postgres", account):
            binaries = copy_wheel(binaries, folder)
    return PostgresFiles(folder=folder, binaries=binaries, account=account)


def with_tls(files: PostgresFiles, certificates: Certificates) -> PostgresFiles | None:
    """The same with TLS: the server's account gets a copy of its certificate and key. None where the server has no TLS."""
    if not speaks_tls(files.binaries):
        return None
    secured = replace(files, authority=certificates.authority)
    for source, target in (
        (certificates.server_chain, secured.certificate),
        (certificates.server_key, secured.certificate_key),
    ):
        write_private(target, source.read_text())
        if files.account:
            os.chown(target, files.account.uid, files.account.gid)
    return secured


def tls_query(authority: Path | None) -> str:
    """What a client's address ends with, so that it checks the server's certificate; nothing without an authority."""
    return f"?sslmode=verify-full&sslrootcert={quote(str(authority), safe='/')}" if authority else ""


def postgres_program(owner: Path, files: PostgresFiles, port: int) -> Program:
    """The server as a program to run."""
    tls = {"ssl": "on", "ssl_cert_file": str(files.certificate), "ssl_key_file": str(files.certificate_key)}
    told = {**SETTINGS, **(tls if files.authority else {})}
    settings = [part for name, value in told.items() for part in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        command=[str(files.binaries / "postgres"), "-D", str(files.data), "-p", str(port), *settings],
        environment={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
        folder=files.folder,
        owner=owner,
        account=files.account,
        stop_signal=STOP_SIGNAL,
    )


def start_postgres(program: Program, files: PostgresFiles, *, ends_with_us: bool = False) -> int:
    """Starts the server, making its data folder the first time, and returns its pid when it takes connections.

    Raises SetupFailed when it dies or is not there in time, or when a server that nobody owns still holds the data.
    """
    if not (files.data / "PG_VERSION").exists():
        _initialise(files)
    _refuse_other_version(files)
    _free_data_folder(files)
    if files.authority:
        (files.data / "pg_hba.conf").write_text(TLS_ALONE)
    pid = processes.start(program, ends_with_us=ends_with_us)
    wait_until_started(program, pid)
    return pid


def wait_until_started(program: Program, pid: int) -> None:
    """Returns when the server's log says that it takes connections."""
    if not processes.says_within(program, pid, STARTED, START_SECONDS):
        raise SetupFailed(
            f"Postgres (process {pid}) takes no connections after {START_SECONDS:.0f} s: see {program.log_file}, "
            "and run this again when it does.",
            processes.last_lines(program.log_file),
        )


def superuser_url(files: PostgresFiles, port: int, database: str = "postgres") -> str:
    """The address of a database as the superuser. It holds the password."""
    return f"postgresql://{SUPERUSER}:{files.password}@{LOCAL}:{port}/{database}{tls_query(files.authority)}"


def server_account() -> Account:
    """Whom the server runs as when we are root."""
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise SetupFailed("Postgres does not run as root, and there is no account `postgres` or `nobody` to run it as: add one.")


def data_folder(owner: Path, account: Account | None) -> Path:
    """The folder in the run folder, or, when the server's account may not go there, one of this run folder's own outside."""
    inside = owner / "postgres"
    if account is None or may_reach(inside, account):
        return inside
    name = "counterfoil-" + hashlib.sha256(str(owner).encode()).hexdigest()[:12]
    for parent in (Path("/var/lib"), Path("/var/tmp")):  # noqa: S108 (made with mode 700 and owned by the account)
        if parent.is_dir() and os.access(parent, os.W_OK) and may_reach(parent / name, account):
            return parent / name
    raise SetupFailed(f"The account {account.name} may go neither into {owner} nor /var/lib: open one to it (`chmod o+x`).")


def may_reach(path: Path, account: Account) -> bool:
    """Whether every folder above the path lets the account through."""
    for folder in path.parents:
        try:
            found = folder.stat()
        except FileNotFoundError:
            continue
        if found.st_uid == account.uid:
            bit = stat.S_IXUSR
        elif found.st_gid == account.gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not found.st_mode & bit:
            return False
    return True


def _initialise(files: PostgresFiles) -> None:
    version = version_of(files.binaries) or OLDEST_VERSION
    built_in = version >= FIRST_WITH_BUILTIN_LOCALE
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"] if built_in else ["--locale=C"]
    with told_by_sentence("making Postgres' data folder", files.folder):
        _write_password(files)
        shutil.rmtree(files.data, ignore_errors=True)
        command = [
            str(files.binaries / "initdb"),
            f"--pgdata={files.data}",
            f"--username={SUPERUSER}",
            f"--pwfile={files.password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-instructions",
            *locale,
        ]
        account = files.account
        result = subprocess.run(
            command,
            cwd=files.folder,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    if result.returncode:
        shutil.rmtree(files.data, ignore_errors=True)
        lines = tuple((result.stdout + result.stderr).splitlines()[-processes.LOG_TAIL_LINES :])
        raise SetupFailed("Postgres' data folder could not be made: mend what initdb says, then run this again.", lines)


def _write_password(files: PostgresFiles) -> None:
    files.password_file.unlink(missing_ok=True)
    with os.fdopen(os.open(files.password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(24) + "\n")
    if files.account:
        os.chown(files.password_file, files.account.uid, files.account.gid)


def _refuse_other_version(files: PostgresFiles) -> None:
    made_by = int((files.data / "PG_VERSION").read_text())
    version = version_of(files.binaries)
    if version != made_by:
        raise SetupFailed(
            f"The data in {files.data} were made by PostgreSQL {made_by} and the server here is {version}: "
            "bring that version back, or delete the data with `make clean`."
        )


def _free_data_folder(files: PostgresFiles) -> None:
    """Removes the lock file of a server that died. Its pid may be another process' by now, which must not keep us out."""
    lock = files.data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    if str(files.data) in processes.command_line(pid):
        raise SetupFailed(f"A Postgres of an earlier run (process {pid}) holds {files.data}: run `make down`, then this again.")
    lock.unlink(missing_ok=True)
