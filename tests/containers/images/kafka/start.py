"""What the official image does at its start: KAFKA_LOG_DIRS becomes `log.dirs`, storage is formatted once, the broker runs."""

import os
import subprocess
from pathlib import Path

SETTINGS = Path("/opt/kafka/config/server.properties")
FOR_THE_JVM = {"KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS"}
CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"


def settings() -> dict[str, str]:
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in os.environ.items()
        if name.startswith("KAFKA_") and name not in FOR_THE_JVM
    }


def main() -> None:
    SETTINGS.write_text("".join(f"{name}={value}\n" for name, value in settings().items()))
    java = ["java", *os.environ.get("KAFKA_HEAP_OPTS", "").split(), "-XX:+ExitOnOutOfMemoryError"]
    java += ["-Dlog4j.configurationFile=/opt/kafka/bin/log4j2.properties", "-cp", "/opt/kafka/libs/*"]
    formatting = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER_ID, "-c", str(SETTINGS)]
    subprocess.run([*java, *formatting], check=True)
    os.execvp(java[0], [*java, "kafka.Kafka", str(SETTINGS)])


if __name__ == "__main__":
    main()
