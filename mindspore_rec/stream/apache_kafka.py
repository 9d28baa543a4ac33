"""Apache Kafka on this machine: fetched by Maven, run as one KRaft node."""

from __future__ import annotations

import base64
import fcntl
import logging
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import List, Optional, Sequence

from mindspore_rec.stream.broker import HOST, START_SECONDS, Broker, BrokerFailed, free_port

logger = logging.getLogger(__name__)

DOWNLOAD_SECONDS = 600.0
REPOSITORY = Path(__file__).resolve().parents[2]
KAFKA_FILES = REPOSITORY / "scripts" / "kafka"
CACHE = REPOSITORY / ".cache"

_MAX_MESSAGE_BYTES = 64 << 20


class KafkaBroker(Broker):
    """Apache Kafka: one KRaft node, data and logs under ``folder``, jars fetched once by Maven into ``jars``."""

    name = "Apache Kafka"
    keeps_data = True

    def __init__(self, folder: Path, port: int = 9092, bind: str = HOST, jars: Optional[Path] = None) -> None:
        super().__init__(folder, port, bind)
        self.jars = Path(jars or CACHE / "kafka").absolute()
        self._controller_port = 0

    @staticmethod
    def available() -> Optional[str]:
        for program in ("java", "mvn"):
            if shutil.which(program) is None:
                return f"`{program}` is not installed (Java 17 or newer and Maven are needed)"
        if not (KAFKA_FILES / "pom.xml").is_file():
            return f"{KAFKA_FILES / 'pom.xml'} is missing: run it from a clone of the repository"
        return None

    def command(self) -> List[str]:
        fetch_jars(self.jars)
        self._controller_port = self._controller_port or free_port()
        settings = self.folder / "server.properties"
        settings.write_text(self._settings(), "utf-8")
        data = self.folder / "data"
        if not (data / "meta.properties").is_file():
            self._format(settings)
        return [*self._java(), "-Xms128m", "-Xmx512m", "kafka.Kafka", str(settings)]

    def _java(self) -> List[str]:
        return [
            "java",
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dkafka.logs.dir={self.folder / 'logs'}",
            f"-Dlog4j2.configurationFile={KAFKA_FILES / 'log4j2.xml'}",
            "-cp",
            f"{self.jars}{os.sep}*",
        ]

    def _format(self, settings: Path) -> None:
        tool = ["kafka.tools.StorageTool", "format", "--standalone", "-t", new_cluster_id(), "-c", str(settings)]
        _run([*self._java(), *tool], START_SECONDS)

    def _settings(self) -> str:
        addresses = f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{HOST}:{self._controller_port}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"{HOST}:{self._controller_port}",
            "listeners": addresses,
            "advertised.listeners": addresses,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "message.max.bytes": str(_MAX_MESSAGE_BYTES),
            # After a crash the node is let in again once its old session is over: 9 s where this is not said.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())


def fetch_jars(folder: Path) -> None:
    """Gather Kafka's jars in ``folder`` with Maven, unless a complete set for the present pom.xml is there.

    Safe when several processes do it at once. Raises ``BrokerFailed`` with Maven's last words.
    """
    pom = KAFKA_FILES / "pom.xml"
    wanted = pom.read_bytes()
    stamp = folder / "pom.xml"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f"{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_bytes() == wanted:
            return
        logger.info("fetching Apache Kafka into %s", folder)
        shutil.rmtree(folder, ignore_errors=True)
        target = f"-DoutputDirectory={folder}"
        goal = "dependency:copy-dependencies"
        _run(["mvn", "-q", "-B", "-f", str(pom), goal, "-DincludeScope=runtime", target], DOWNLOAD_SECONDS)
        stamp.write_bytes(wanted)


def _run(command: Sequence[str], timeout: float) -> None:
    """Run a program to its end. Raises ``BrokerFailed`` with its last line where it fails."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise BrokerFailed(f"{command[0]} did not end within {timeout:g} s") from None
    if done.returncode:
        lines = [line for line in done.stdout.decode("utf-8", "replace").split("\n") if line.strip()]
        raise BrokerFailed(f"{command[0]} failed with status {done.returncode}: {' '.join(lines[-3:])[:600]}")


def new_cluster_id() -> str:
    """A random id as Kafka writes them; none that begins with a dash, which its tools would take for an option."""
    while True:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not cluster.startswith("-"):
            return cluster
