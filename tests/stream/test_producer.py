from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from mindspore_rec.config import ProducerConfig, UserError
from mindspore_rec.stream.brokers import BROKERS, Broker
from mindspore_rec.stream.kafka import create_topic, open_sink, open_source, topic_partitions
from mindspore_rec.stream.messages import Message, describe
from mindspore_rec.stream.producer import Pace, Producer, produce
from mindspore_rec.stream.raw_lines import file_chunks

REPOSITORY = Path(__file__).resolve().parents[2]
FORMATS = ["block", "tsv", "json"]


def lines(rows: int, start: int = 0) -> List[bytes]:
    """Rows that are well formed and tell their number."""
    return [b"\t".join([b"0"] * 14 + [b"%08x" % row] + [b"c"] * 25) for row in range(start, start + rows)]


class ListSink:
    """Keeps what is sent, and sets ``stop`` at message ``stop_at``."""

    def __init__(self, stop: Optional[threading.Event] = None, stop_at: int = 0) -> None:
        self.sent: List[Tuple[int, int, bytes, Mapping[str, bytes]]] = []
        self.flushed = 0
        self._stop, self._stop_at = stop, stop_at

    def send(
        self,
        value: bytes,
        *,
        partition: Optional[int] = None,
        key: Optional[bytes] = None,
        headers: Optional[Mapping[str, bytes]] = None,
        timestamp_ms: Optional[int] = None,
    ) -> None:
        assert partition is not None and timestamp_ms is not None and headers is not None
        self.sent.append((partition, timestamp_ms, value, headers))
        if self._stop is not None and len(self.sent) == self._stop_at:
            self._stop.set()

    def flush(self, timeout: float) -> None:
        self.flushed = len(self.sent)

    def close(self) -> None:
        pass

    def rows(self) -> List[Tuple[int, int]]:
        """(partition, source row) of every row, in the order sent."""
        found = []
        for partition, timestamp_ms, value, headers in self.sent:
            info = describe(Message(partition, 0, timestamp_ms, headers, value))
            assert info.rows is not None
            found += [(partition, info.first_row + row) for row in range(info.rows)]
        return found


class FakeTime:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: List[float] = []

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return False


def chunk(rows: List[bytes]) -> Iterator[bytes]:
    yield b"".join(row + b"\n" for row in rows)


@pytest.mark.parametrize("form", FORMATS)
def test_blocks_go_round_the_partitions_in_every_format(form: str) -> None:
    sink = ListSink()
    producer = Producer(ProducerConfig(format=form, block_rows=10), sink, [0, 10, 20], threading.Event())
    assert producer.run(chunk(lines(75))) == 75
    assert sink.rows() == [(row // 10 % 3, row) for row in range(75)]
    assert len(sink.sent) == (8 if form == "block" else 75)
    assert sink.flushed == len(sink.sent)


@pytest.mark.parametrize("form", FORMATS)
def test_only_rows_that_a_partition_lacks_are_sent(form: str) -> None:
    sink = ListSink()
    producer = Producer(ProducerConfig(format=form, block_rows=10), sink, [34, 17, 20], threading.Event())
    assert producer.first_row == 17
    assert producer.run(chunk(lines(60, 17))) == 60 - 4
    missing = [row for row in range(17, 77) if row // 10 % 3 or row >= 34]
    assert sink.rows() == [(row // 10 % 3, row) for row in missing]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("limit", "sent"), [(25, 25), (30, 30), (75, 75), (76, 75), (0, 75)])
def test_the_limit_is_a_number_of_source_rows(form: str, limit: int, sent: int) -> None:
    sink = ListSink()
    config = ProducerConfig(format=form, block_rows=10, limit=limit)
    assert Producer(config, sink, [0, 10], threading.Event()).run(chunk(lines(75))) == sent
    assert [row for _, row in sink.rows()] == list(range(sent))
    assert Producer(config, sink, [80, 80], threading.Event()).run(chunk(lines(20, 80))) == (0 if limit else 20)


@pytest.mark.parametrize(("form", "rows"), [("block", 20), ("tsv", 2), ("json", 2)])
def test_it_stops_after_the_message_under_way(form: str, rows: int) -> None:
    stop = threading.Event()
    sink = ListSink(stop, stop_at=2)
    assert Producer(ProducerConfig(format=form, block_rows=10), sink, [0], stop).run(chunk(lines(75))) == rows
    assert len(sink.rows()) == rows and sink.flushed == 2


@pytest.mark.parametrize("form", FORMATS)
def test_the_event_time_is_when_a_row_is_sent(form: str) -> None:
    ticks = iter(range(5, 100))
    sink = ListSink()
    config = ProducerConfig(format=form, block_rows=2)
    Producer(config, sink, [0], threading.Event(), clock=lambda: float(next(ticks))).run(chunk(lines(6)))
    for index, (_, timestamp_ms, value, headers) in enumerate(sink.sent):
        assert timestamp_ms == 1000 * (5 + index)
        times = describe(Message(0, 0, -1, headers, value)).event_times
        assert times.tolist() == [timestamp_ms] * (2 if form == "block" else 1)


def test_the_rate_is_held_over_time() -> None:
    fake = FakeTime()
    pace = Pace(100.0, fake.clock, fake.wait)
    for _ in range(30):
        assert pace.before(10)
    assert fake.now == pytest.approx(100.0 + 2.9)
    fake.now += 60
    before = len(fake.waits)
    while len(fake.waits) == before:
        assert pace.before(10)
    caught_up = (fake.now - 162.9) * 100
    assert caught_up < 20, "a pause is not made up for by a burst"


def test_without_a_rate_nothing_waits_and_a_stop_ends_the_wait() -> None:
    fake = FakeTime()
    pace = Pace(0.0, fake.clock, fake.wait)
    assert all(pace.before(10**9) for _ in range(10)) and not fake.waits
    slow = Pace(0.001, fake.clock, lambda seconds: True)
    assert slow.before(1) and not slow.before(1)


@pytest.fixture
def config(broker: Broker, topic: str, tmp_path: Path) -> ProducerConfig:
    file = tmp_path / "day_0"
    file.write_bytes(b"".join(row + b"\n" for row in lines(1234)))
    return ProducerConfig(
        bootstrap_servers=broker.bootstrap_servers, topic=topic, data_file=str(file), block_rows=100, partitions=3
    )


def run(config: ProducerConfig, **changes: Any) -> Dict[str, Any]:
    changed = config.model_copy(update=changes)
    assert changed.data_file is not None
    return produce(changed, lambda row: file_chunks(str(changed.data_file), row), threading.Event())


def rows_in_topic(config: ProducerConfig) -> Dict[int, List[int]]:
    """Source rows of each partition, told by the rows themselves, in the order they lie there."""
    source = open_source(config)
    highs = {partition: source.watermarks(partition)[1] for partition in source.describe().partitions}
    source.assign(dict.fromkeys(highs, 0))
    found: Dict[int, List[int]] = {partition: [] for partition in highs}
    left = sum(highs.values())
    deadline = time.monotonic() + 60
    while left and time.monotonic() < deadline:
        for message in source.poll(1000, 0.5):
            left -= 1
            info = describe(message)
            if info.format == "json":
                rows = [str(json.loads(message.value)[14])]
            else:
                rows = [line.split(b"\t")[14].decode() for line in message.value.split(b"\n")]
            numbers = [int(row, 16) for row in rows]
            assert numbers[0] == info.first_row and len(numbers) == info.rows
            assert np.all(info.event_times > 1_600_000_000_000) and message.timestamp_ms == info.event_times[-1]
            found[message.partition] += numbers
    source.close()
    return found


def expected(rows: int, block_rows: int, partitions: int) -> Dict[int, List[int]]:
    return {
        partition: [row for row in range(rows) if row // block_rows % partitions == partition]
        for partition in range(partitions)
    }


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
@pytest.mark.parametrize("form", FORMATS)
def test_it_goes_on_where_it_was_cut_off(config: ProducerConfig, client: str, form: str) -> None:
    config = config.model_copy(update={"kafka_client": client, "format": form})
    assert run(config, limit=250)["rows_produced"] == 250
    assert run(config, limit=250)["rows_produced"] == 0
    again = run(config, limit=777)
    assert again == {"rows_produced": 527, "first_row": 250, "topic": config.topic, "partitions": 3, "format": form}
    assert run(config)["rows_produced"] == 1234 - 777
    assert rows_in_topic(config) == expected(1234, 100, 3)


@pytest.mark.kafka
def test_a_partition_that_lags_behind_the_others_is_completed(config: ProducerConfig) -> None:
    create_topic(config, None, 3)
    sink = open_sink(config)
    ahead = config.model_copy(update={"format": "tsv"})
    # As after a crash: partition 0 got 150 of its rows, partition 1 none, partition 2 its first 30.
    producer = Producer(ahead, Only(sink, {0: 150, 2: 30}), [0, 100, 200], threading.Event())
    producer.run(chunk(lines(800)))
    sink.close()
    assert [len(rows) for rows in rows_in_topic(config).values()] == [150, 0, 30]
    summary = run(config)
    assert summary["first_row"] == 100 and summary["rows_produced"] == 1234 - 180
    assert rows_in_topic(config) == expected(1234, 100, 3)


class Only(ListSink):
    """Passes on so many messages of each partition."""

    def __init__(self, sink: Any, left: Dict[int, int]) -> None:
        super().__init__()
        self._sink, self._left = sink, left

    def send(self, value: bytes, *, partition: Optional[int] = None, **options: Any) -> None:
        assert partition is not None
        if self._left.get(partition, 0) > 0:
            self._left[partition] -= 1
            self._sink.send(value, partition=partition, **options)

    def flush(self, timeout: float) -> None:
        self._sink.flush(timeout)


@pytest.mark.kafka
def test_a_topic_written_otherwise_is_refused(config: ProducerConfig) -> None:
    run(config)
    with pytest.raises(UserError, match=r"partition \d holds source row \d+, of another block_rows"):
        run(config, block_rows=50)
    other = config.model_copy(update={"topic": f"{config.topic}-foreign", "partitions": 1})
    create_topic(other, None, 1)
    sink = open_sink(other)
    sink.send(b"0\t1", partition=0)
    sink.flush(60)
    sink.close()
    with pytest.raises(UserError, match="does not say which rows it holds; choose a new --topic"):
        run(other)


@pytest.mark.kafka
def test_the_topic_decides_how_many_partitions_there_are(config: ProducerConfig) -> None:
    create_topic(config, None, 2)
    assert run(config, partitions=5)["partitions"] == 2
    assert rows_in_topic(config) == expected(1234, 100, 2)


@pytest.mark.kafka
@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
@pytest.mark.parametrize("form", ["block", "tsv"])
@pytest.mark.parametrize("rows", [300, 350])
def test_partitions_added_to_a_topic_are_refused(config: ProducerConfig, client: str, form: str, rows: int) -> None:
    """The last block alone fits two partitions by chance: its rows would come once more."""
    config = config.model_copy(update={"kafka_client": client, "format": form, "partitions": 1})
    run(config, limit=rows)
    add_partitions(config, 2)
    with pytest.raises(UserError, match=r"partition 0 holds source row \d+, of another .* number of partitions"):
        run(config)
    assert rows_in_topic(config) == {0: list(range(rows)), 1: []}


def add_partitions(config: ProducerConfig, count: int) -> None:
    admin = AdminClient({"bootstrap.servers": config.bootstrap_servers})
    admin.create_partitions([NewPartitions(config.topic, count)])[config.topic].result()
    deadline = time.monotonic() + 60
    while topic_partitions(config) != count:
        assert time.monotonic() < deadline


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_a_broker_that_is_killed_and_back_loses_and_doubles_nothing(
    config: ProducerConfig, client: str, tmp_path: Path
) -> None:
    with BROKERS["kafka"](tmp_path / "broker", port=0) as own:
        config = config.model_copy(update={"bootstrap_servers": own.bootstrap_servers, "kafka_client": client})
        arguments = ["--data_file", str(config.data_file), "--rate", "400", "--format", "tsv"]
        command = [*program(config, *arguments), "--kafka_client", client]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=(tmp_path / "log").open("wb"))
        wait_for_rows(config)
        own.kill()
        wait_for_line(tmp_path / "log", f"Kafka broker {own.bootstrap_servers} is away, trying again")
        own.start()
        output, _ = running.communicate(timeout=120)
        log = (tmp_path / "log").read_text()
        assert running.returncode == 0, log
        assert json.loads(output.splitlines()[-1])["rows_produced"] == 1234
        assert f"Kafka broker {own.bootstrap_servers} answers again" in log
        assert rows_in_topic(config) == expected(1234, 100, 3)


def wait_for_line(log: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)  # a poll with a deadline


@pytest.mark.kafka
@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
@pytest.mark.parametrize("form", ["block", "tsv"])
def test_a_message_larger_than_the_topic_takes_is_one_line(
    config: ProducerConfig, client: str, form: str, tmp_path: Path
) -> None:
    admin = AdminClient({"bootstrap.servers": config.bootstrap_servers})
    topic = NewTopic(config.topic, 3, config={"max.message.bytes": "100000"})
    admin.create_topics([topic])[config.topic].result()
    noise = random.Random(1)
    rows = [b"\t".join([b"0"] * 14 + [noise.randbytes(100_000).hex().encode()] + [b"c"] * 25) for _ in range(3)]
    (tmp_path / "large").write_bytes(b"".join(row + b"\n" for row in rows))
    arguments = ["--data_file", str(tmp_path / "large"), "--format", form, "--kafka_client", client]
    done = subprocess.run(program(config, *arguments), capture_output=True, check=False)
    lines_of_log = done.stderr.decode().splitlines()
    assert done.returncode == 1 and len(lines_of_log) == 1, done.stderr.decode()
    size = len(b"\n".join(rows)) if form == "block" else len(rows[0])
    assert f"error: topic '{config.topic}': a message of {size} bytes is larger than the topic" in lines_of_log[0]


def program(config: ProducerConfig, *arguments: str) -> List[str]:
    script = str(REPOSITORY / "examples" / "online_learning" / "producer.py")
    where = ["--bootstrap_servers", config.bootstrap_servers, "--topic", config.topic, "--block_rows", "100"]
    return [sys.executable, script, *where, "--partitions", "3", *arguments]


@pytest.mark.kafka
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_program_with_status_0(config: ProducerConfig, number: int) -> None:
    command = program(config, "--data_file", str(config.data_file), "--rate", "400")
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ))
    wait_for_rows(config)
    running.send_signal(number)
    output, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors.decode()
    summary = json.loads(output.decode().splitlines()[-1])
    assert 0 < summary["rows_produced"] < 1234
    assert sum(map(len, rows_in_topic(config).values())) == summary["rows_produced"]
    finished = subprocess.run(program(config, "--data_file", str(config.data_file)), capture_output=True, check=True)
    assert json.loads(finished.stdout.splitlines()[-1])["rows_produced"] == 1234 - summary["rows_produced"]
    assert rows_in_topic(config) == expected(1234, 100, 3)


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_the_program_survives_being_killed(config: ProducerConfig, client: str) -> None:
    for _ in range(3):
        arguments = ["--rate", "400", "--format", "tsv", "--kafka_client", client]
        command = program(config, "--data_file", str(config.data_file), *arguments)
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_rows(config, more_than=high(config))
        running.kill()
        running.wait()
    run(config, format="tsv")
    assert rows_in_topic(config) == expected(1234, 100, 3)


def high(config: ProducerConfig) -> int:
    """Messages in the topic; 0 where it does not exist."""
    if not topic_partitions(config):
        return 0
    source = open_source(config)
    try:
        return sum(source.watermarks(partition)[1] for partition in source.describe().partitions)
    finally:
        source.close()


def wait_for_rows(config: ProducerConfig, more_than: int = 0) -> None:
    deadline = time.monotonic() + 60
    while high(config) <= more_than:
        assert time.monotonic() < deadline, "the program sent nothing"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--broker_timeout", "0.5"], 1, "bash scripts/start_broker.sh"),
        (["--format", "csv"], 2, "format"),
    ],
)
def test_errors_are_one_line(arguments: List[str], status: int, message: str) -> None:
    config = ProducerConfig(bootstrap_servers="127.0.0.1:1")
    done = subprocess.run(program(config, *arguments), capture_output=True, check=False)
    assert done.returncode == status
    assert message in done.stderr.decode() and len(done.stderr.decode().splitlines()) == 1


@pytest.mark.kafka
def test_without_a_file_the_stream_is_synthetic(config: ProducerConfig) -> None:
    done = subprocess.run(program(config, "--limit", "350"), capture_output=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["rows_produced"] == 350
    assert high(config) == 4
