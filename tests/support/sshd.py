"""A real sshd on 127.0.0.1 that lets an account in with a key of the test's own, and knows no other key."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local import ports, processes
from deploy.local.processes import Program
from tests.support.debian import Need, find_program
from tests.support.polling import wait_until

SSHD: Final = Need(names=("sshd", "/usr/sbin/sshd"), packages=("openssh-server",), unpacked=("usr/sbin/sshd",))
USUAL_PORT: Final = 20_022
PASSED_ON: Final = ("PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy")
"""What the machine's pip needs to reach its registry: a session over ssh starts with an empty environment."""

CONFIGURATION: Final = """\
ListenAddress {address}
Port {port}
HostKey {folder}/host-key
AuthorizedKeysFile {folder}/authorized-keys
PidFile none
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
SetEnv {environment}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshServer:
    """Where it listens, who may come in with what, and the file by which a client knows it."""

    address: str
    user: str
    identity_file: Path
    known_hosts: Path


@contextmanager
def running_sshd(folder: Path, *, user: str) -> Iterator[SshServer]:
    """The server, ended with the block. Its keys are made in the folder; the one for clients opens the user's account."""
    found = find_program(SSHD)
    port = ports.free_port(USUAL_PORT)
    for name in ("host-key", "client-key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "client-key.pub", folder / "authorized-keys")
    kind, key, *_ = (folder / "host-key.pub").read_text().split()
    (folder / "known-hosts").write_text(f"[{ports.LOCAL}]:{port} {kind} {key}\n")
    told = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON) and "CACHE" not in name}
    # Packages are compiled as they are imported: half of what a test installs never is.
    told |= {"PIP_NO_COMPILE": "1"}
    environment = " ".join(f'{name}="{value}"' for name, value in told.items())
    (folder / "sshd_config").write_text(
        CONFIGURATION.format(address=ports.LOCAL, port=port, folder=folder, environment=environment)
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    program = Program(
        name="sshd",
        command=[str(found.path), "-D", "-e", "-f", str(folder / "sshd_config")],
        environment={**os.environ, **found.environment},
        folder=folder,
        owner=folder,
    )
    try:
        processes.start(program, ends_with_us=True)
        wait_until(lambda: ports.answers(port), 10, what=f"sshd ({program.log_file}) listening")
        yield SshServer(
            address=f"{ports.LOCAL}:{port}",
            user=user,
            identity_file=folder / "client-key",
            known_hosts=folder / "known-hosts",
        )
    finally:
        processes.stop(program)
