"""One Apache Kafka node in KRaft mode, for one machine."""

import base64
import os
import subprocess
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local import jars, java, ports, processes
from deploy.local.access import OPERATOR
from deploy.local.certificates import SERVER_NAME
from deploy.local.env_file import write_private
from deploy.local.failures import SetupFailed, told_by_sentence
from deploy.local.processes import Program
from deploy.local.security import Security

USUAL_PORT: Final = 19092
USUAL_CONTROLLER_PORT: Final = 19093
START_SECONDS: Final = 120.0
STARTED: Final = b"Kafka Server started"
HEAP: Final = "-Xmx512m"
QUICK_START: Final = "-XX:TieredStopAtLevel=1"
"""For what runs for seconds: the second compiler costs more than it gains there."""

SETTINGS: Final = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
log.segment.bytes=134217728
log.retention.check.interval.ms=60000
"""

SECURE_INSTEAD: Final = {
    "PLAINTEXT://": "SASL_SSL://",
    "=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT": "=SASL_SSL:SASL_SSL,CONTROLLER:SSL",
    "inter.broker.listener.name=PLAINTEXT": "inter.broker.listener.name=SASL_SSL",
}
"""Clients come in by TLS with a SCRAM user; the node speaks to its own controller by TLS with its certificate."""

SECURE_SETTINGS: Final = """\
ssl.keystore.type=PEM
ssl.keystore.location={certificates.server}
ssl.truststore.type=PEM
ssl.truststore.location={certificates.authority}
listener.name.controller.ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
username="{operator}" password="{password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:{operator};User:CN={server_name}
"""

LOGGING: Final = """\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %c{1} %m%n
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaPorts:
    """Where clients come in, and where the node speaks to itself."""

    client: int
    controller: int


def choose_ports(last: KafkaPorts | None = None) -> KafkaPorts:
    """The ports used last time, or the usual ones; each replaced by a free one if it is taken."""
    patience = ports.PATIENCE_SECONDS if last else 0.0
    client = ports.free_port(last.client if last else USUAL_PORT, patience_seconds=patience)
    return KafkaPorts(
        client=client,
        controller=ports.free_port(
            last.controller if last else USUAL_CONTROLLER_PORT, but_not={client}, patience_seconds=patience
        ),
    )


def kafka_program(
    owner: Path, cache: Path, *, say: Callable[[str], None] = lambda _: None, options: Sequence[str] = ()
) -> Program:
    """The broker as a program to run: its jars fetched, its Java found. Settings and data are in `owner/kafka`.

    `options` are Java's, beside ours.
    """
    class_path = os.pathsep.join(str(path) for path in jars.fetch_jars(cache, say=say))
    folder = owner / "kafka"
    return Program(
        name="kafka",
        command=[
            str(java.find_java()),
            HEAP,
            *options,
            "-XX:+UseSerialGC",
            "-XX:+ExitOnOutOfMemoryError",
            "-XX:-UsePerfData",
            "-Djava.awt.headless=true",
            f"-Dlog4j.configurationFile={folder / 'log4j2.properties'}",
            "-cp",
            class_path,
            "kafka.Kafka",
            str(folder / "server.properties"),
        ],
        environment={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"},
        folder=owner,
        owner=owner,
    )


def start_kafka(program: Program, at: KafkaPorts, *, security: Security | None = None, ends_with_us: bool = False) -> int:
    """Starts the broker, formatting its storage the first time, and returns its pid when it serves.

    Raises SetupFailed when it dies or does not serve in time, or when a broker of this folder that nobody owns still runs.
    """
    _refuse_left_over(program)
    folder = program.owner / "kafka"
    with told_by_sentence("writing Kafka's settings", folder):
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        write_private(folder / "server.properties", settings_text(at, data, security))
        (folder / "log4j2.properties").write_text(LOGGING)
    if not (data / "meta.properties").exists():
        _format(program, security)
    pid = processes.start(program, ends_with_us=ends_with_us)
    wait_until_started(program, pid)
    return pid


def settings_text(at: KafkaPorts, data: Path, security: Security | None) -> str:
    """The broker's settings. With security they hold the operator's password."""
    text = SETTINGS.format(port=at.client, controller_port=at.controller, data=data)
    if security is None:
        return text
    for plain, secure in SECURE_INSTEAD.items():
        text = text.replace(plain, secure)
    return text + SECURE_SETTINGS.format(
        certificates=security.certificates,
        operator=OPERATOR,
        password=security.passwords[OPERATOR],
        server_name=SERVER_NAME,
    )


def wait_until_started(program: Program, pid: int) -> None:
    """Returns when the broker's log says that it serves."""
    if not processes.says_within(program, pid, STARTED, START_SECONDS):
        raise SetupFailed(
            f"Kafka (process {pid}) does not serve after {START_SECONDS:.0f} s: see {program.log_file}, "
            "or end it with `make down` and try again.",
            processes.last_lines(program.log_file),
        )


def new_cluster_id() -> str:
    """As Kafka wants it: URL-safe base64 of 16 random bytes, without padding and without a leading dash."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _format(program: Program, security: Security | None) -> None:
    command = list(program.command)
    main = command.index("kafka.Kafka")
    settings = command[main + 1]
    formatting = ["kafka.tools.StorageTool", "format", "--standalone", "-t", new_cluster_id(), "-c", settings]
    for user, password in (security.passwords if security else {}).items():
        formatting += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
    # In a file of its own, since anybody may read a command line.
    arguments = program.owner / "kafka" / "format.arguments"
    write_private(arguments, "".join(f"{_quoted(word)}\n" for word in [QUICK_START, *command[1:main], *formatting]))
    try:
        subprocess.run(
            [command[0], f"@{arguments}"],
            env=dict(program.environment),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        lines = tuple((error.stdout + error.stderr).splitlines()[-processes.LOG_TAIL_LINES :])
        raise SetupFailed("Kafka's storage could not be formatted: mend what it says, then run this again.", lines) from error
    except subprocess.TimeoutExpired as error:
        raise SetupFailed("Kafka's storage could not be formatted in a minute: the machine is too busy; try again.") from error
    finally:
        arguments.unlink(missing_ok=True)


def _quoted(word: str) -> str:
    """A word as Java reads it in a file of arguments."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _refuse_left_over(program: Program) -> None:
    settings = str(program.owner / "kafka" / "server.properties")
    for pid in processes.left_over(program.owner):
        if settings in processes.command_line(pid) and processes.living(program.pid_file) != pid:
            raise SetupFailed(f"A Kafka of an earlier run (process {pid}) holds {settings}: run `make down`, then this again.")
