"""The consumer between a topic and trainers, over real sockets; killed and started again in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import pytest

from mindspore_rec.config import ConfigError, ConsumerConfig
from mindspore_rec.stream.batches import StreamBatches
from mindspore_rec.stream.brokers import Broker
from mindspore_rec.stream.channel import ChannelError, DataReceiver
from mindspore_rec.stream.consumer import Consumer
from mindspore_rec.stream.interleave import Batch
from mindspore_rec.stream.kafka import (
    BrokerUnreachable,
    OffsetOutOfRange,
    TopicRecreated,
    create_topic,
    open_sink,
    open_source,
)
from mindspore_rec.stream.messages import Message
from mindspore_rec.stream.position import RowPosition, StreamPosition
from tests.stream.fault_topics import consumer_of
from tests.stream.free_ports import free_ports
from tests.stream.memory_source import MemorySource, messages_of

BAD_EVERY = 11


@pytest.fixture
def port() -> int:
    return free_ports(4)


@pytest.fixture
def dead_letters(tmp_path: Path) -> Path:
    return tmp_path / "rejects.jsonl"


def configuration(port: int, dead_letters: Path, **keys: Any) -> ConsumerConfig:
    base = {"topic": "clicks", "dense_dim": 1, "slot_dim": 1, "window_size": 20, "dead_letter_file": str(dead_letters)}
    return ConsumerConfig(**{"port": port, **base, **keys})


def logs(rows: int = 500, partitions: int = 2, form: str = "block", block_rows: int = 7) -> Dict[int, List[Message]]:
    """Row numbers dealt to partitions; every ``BAD_EVERY``-th row is bad."""
    return {p: messages_of(p, range(p * rows, (p + 1) * rows), form, block_rows, BAD_EVERY) for p in range(partitions)}


def good(first: int, last: int) -> List[int]:
    return [number for number in range(first, last) if number % BAD_EVERY]


def batches_of(config: ConsumerConfig, shard_id: int = 0, **options: Any) -> StreamBatches:
    receiver = DataReceiver(
        config.address,
        config.namespace,
        shard_id,
        config.dataset_name,
        num_shards=config.num_shards,
        port=config.port,
        num_consumers=config.num_consumers,
        max_queue_size=options.pop("max_queue_size", 3),
    )
    return StreamBatches(receiver, options.pop("batch_size", 32), **options)


def sources(batches: List[Batch]) -> List[int]:
    return [row for batch in batches for row in batch.info.source_rows.tolist()]


@pytest.mark.parametrize("form", ["block", "tsv", "json"])
def test_a_bounded_stream_arrives_whole_and_ends(port: int, dead_letters: Path, form: str) -> None:
    config = configuration(port, dead_letters, until_end=True)
    with consumer_of(config, MemorySource(logs(form=form))) as consumer:
        batches = batches_of(config)
        found = list(batches)
        assert batches.stream is not None
        stream, final = batches.stream, batches.final_info
        batches.close()
        consumer.join()  # it ends by itself
        assert consumer.error is None
    rows = sources(found)
    assert sorted(rows) == good(0, 1000)
    turns = [row for first in range(0, 500, 20) for p in (0, 500) for row in good(p + first, p + first + 20)]
    assert rows == turns  # a window of each in turn
    assert [row for row in rows if row < 500] == good(0, 500)
    labels = np.concatenate([batch.columns[2][:, 0] for batch in found])
    assert labels.tolist() == [row % 2 for row in rows]
    assert stream.topic == "clicks" and stream.window_size == 20 and json.loads(stream.spec_json)["dense_dim"] == 1
    assert final is not None
    rejected = sum(batch.info.rejected for batch in found) + final.rejected
    letters = [json.loads(text) for text in dead_letters.read_text().splitlines()]
    assert rejected == len(letters) == 1000 - len(good(0, 1000)) == final.position.rows_rejected
    assert len({(letter["partition"], letter["offset"], letter["row"]) for letter in letters}) == rejected
    assert {letter["reason"] for letter in letters} == {"label"}
    assert final.lag == 0


def test_partitions_are_dealt_to_shards_and_consumers(port: int, dead_letters: Path) -> None:
    config = configuration(port, dead_letters, until_end=True, num_shards=2, num_consumers=2)
    topic = logs(rows=60, partitions=6)
    with contextlib.ExitStack() as stack:
        for index in (0, 1):
            stack.enter_context(consumer_of(config.model_copy(update={"consumer_index": index}), MemorySource(topic)))
        for shard_id in (0, 1):
            batches = batches_of(config, shard_id)
            assert sorted(sources(list(batches))) == [
                row for p in range(shard_id, 6, 2) for row in good(p * 60, (p + 1) * 60)
            ]
            batches.close()


def test_rows_that_come_later_flow_without_a_full_window(port: int, dead_letters: Path) -> None:
    config = configuration(port, dead_letters)
    source = MemorySource({0: messages_of(0, range(1, 4), "tsv", 1)})
    with consumer_of(config, source):
        batches = batches_of(config, batch_size=3)
        first = batches.next_batch()
        assert first is not None and sources([first]) == [1, 2, 3]
        for message in messages_of(0, range(4, 7), "tsv", 1):
            source.append(Message(0, message.offset + 3, message.timestamp_ms, message.headers, message.value))
        second = batches.next_batch()
        assert second is not None and sources([second]) == [4, 5, 6]
        batches.close()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("earliest", 0), ("latest", None), ("2001-09-09T01:46:40.042Z", 42), ("2100-01-01", None)],
)
def test_the_start_rule_is_for_a_first_start(port: int, dead_letters: Path, rule: str, expected: Optional[int]) -> None:
    config = configuration(port, dead_letters, until_end=True)
    source = MemorySource(logs(rows=70, partitions=1, block_rows=1))
    with consumer_of(config, source):
        batches = batches_of(config, start=rule)
        assert sources(list(batches)) == ([] if expected is None else good(expected, 70))
        batches.close()


@pytest.mark.parametrize("rule", ["earliest", "latest", "2100-01-01"])
def test_a_partition_added_since_the_position_was_saved_is_read_whole(port: int, dead_letters: Path, rule: str) -> None:
    config = configuration(port, dead_letters, until_end=True)
    source = MemorySource(logs(rows=70, partitions=2, block_rows=1))
    with consumer_of(config, source):
        position = StreamPosition("clicks", {0: RowPosition(60, 0)}, turn=0, rows_taken=500)
        batches = batches_of(config, position=position, start=rule)
        found = sources(list(batches))
        batches.close()
    assert [row for row in found if row < 70] == good(60, 70)
    assert [row for row in found if row >= 70] == good(70, 140)


def test_a_slow_trainer_stops_the_fetching(port: int, dead_letters: Path) -> None:
    """First of the partition it does not take from, then of all."""
    config = configuration(port, dead_letters)
    source = MemorySource(logs(rows=60_000, block_rows=10))
    with consumer_of(config, source):
        receiver = DataReceiver("127.0.0.1", "default", 0, "criteo", port=port, max_queue_size=4)
        received = {0: 0, 1: 0}

        def poll(credited: List[int]) -> None:
            for frame in receiver.poll(0.05):
                received[frame.positions.partition] += 1
                if frame.positions.partition in credited:
                    receiver.credit(frame.positions.partition)

        while source.paused != {0} or received[1] < 200:
            poll([1])
        assert received[0] == 4
        polled = -1
        while polled < source.polled:
            polled = source.polled
            for _ in range(10):
                poll([])
        assert polled < 10_000
        receiver.credit(0, 4)
        while received[0] < 8:
            poll([])
        assert received[0] == 8
        receiver.close()


def test_a_partition_at_its_end_is_not_waited_for(port: int, dead_letters: Path) -> None:
    """Else the long one would wait for credits and the trainer for the short one."""
    config = configuration(port, dead_letters, until_end=True)
    long, short = messages_of(0, range(1, 2000), "block", 7), messages_of(1, range(5001, 5003), "block", 7)
    with consumer_of(config, MemorySource({0: long, 1: short})):
        batches = batches_of(config, max_queue_size=2)
        assert len(sources(list(batches))) == 2001
        batches.close()


def test_a_bounded_partition_stays_ended_when_the_topic_grows(port: int, dead_letters: Path) -> None:
    config = configuration(port, dead_letters, until_end=True)
    long, short = messages_of(0, range(1, 4000), "block", 7), messages_of(1, range(5001, 5003), "tsv", 1)
    source = MemorySource({0: long, 1: short})
    batches = batches_of(config, max_queue_size=2)
    with consumer_of(config, source):
        found = [batches.next_batch() for _ in range(3)]
    source.append(Message(1, 2, 0, {}, b"1\t5\tlate"))
    with consumer_of(config, source):
        rows = sources([batch for batch in found if batch] + list(batches))
        batches.close()
    assert sorted(rows) == [*range(1, 4000), 5001, 5002]


def test_each_start_seeks_anew(port: int, dead_letters: Path) -> None:
    config = configuration(port, dead_letters)
    with consumer_of(config, MemorySource(logs())):
        whole: List[Batch] = []
        position: Optional[StreamPosition] = None
        for _ in range(5):
            batches = batches_of(config, position=position)
            for _ in range(3):
                batch = batches.next_batch()
                assert batch is not None
                whole.append(batch)
            position = whole[-1].info.position
            batches.close()
    rows = sources(whole)
    assert [row for row in rows if row < 500] == good(0, 500)[: len([row for row in rows if row < 500])]
    assert [row for row in rows if row >= 500] == good(500, 1000)[: len([row for row in rows if row >= 500])]
    assert len(rows) == 15 * 32


def test_a_topic_created_anew_is_noticed_while_it_is_read(port: int, dead_letters: Path) -> None:
    source = MemorySource(logs())
    source.topic_id = "one"
    with consumer_of(configuration(port, dead_letters), source) as consumer:
        batches = batches_of(configuration(port, dead_letters))
        first = batches.next_batch()
        assert first is not None and first.info.position.topic_id == "one"
        source.topic_id = "another"
        with pytest.raises(ChannelError, match=r"'clicks' was deleted and created anew: its id is another, .* of one"):
            list(batches)
        batches.close()
        consumer.join()
    assert isinstance(consumer.error, TopicRecreated)


class TestRefusals:
    """Both sides end, with the same words."""

    def check(self, config: ConsumerConfig, source: MemorySource, match: str, error: Any, **options: Any) -> None:
        with consumer_of(config, source) as consumer:
            batches = batches_of(config, **options)
            with pytest.raises(ChannelError, match=match):
                batches.next_batch()
            batches.close()
            consumer.join()
            assert isinstance(consumer.error, error)
            assert "\n" not in str(consumer.error)

    def test_more_shards_than_partitions(self, port: int, dead_letters: Path) -> None:
        config = configuration(port, dead_letters, num_shards=3)
        self.check(config, MemorySource(logs(partitions=2)), "num_shards: 3, but topic clicks has 2", ChannelError)

    def test_a_position_of_another_topic(self, port: int, dead_letters: Path) -> None:
        position = StreamPosition("views", {0: RowPosition(0, 0)}, 0)
        config = configuration(port, dead_letters)
        self.check(config, MemorySource(logs()), "topic: .*'views', expected 'clicks'", ChannelError, position=position)

    def test_a_position_of_another_shard(self, port: int, dead_letters: Path) -> None:
        position = StreamPosition("clicks", {0: RowPosition(0, 0), 1: RowPosition(0, 0)}, 0)
        config = configuration(port, dead_letters, num_shards=2)
        self.check(config, MemorySource(logs()), "partition 1 is not among", ChannelError, position=position)

    @pytest.mark.parametrize(("offset", "match"), [(2, "older messages were removed"), (500, "lost newer ones")])
    def test_a_position_the_log_does_not_hold(self, port: int, dead_letters: Path, offset: int, match: str) -> None:
        source = MemorySource(logs())
        source.low[0] = 5
        position = StreamPosition("clicks", {0: RowPosition(offset, 0)}, 0)
        self.check(configuration(port, dead_letters), source, match, OffsetOutOfRange, position=position)

    def test_a_row_the_message_does_not_have(self, port: int, dead_letters: Path) -> None:
        position = StreamPosition("clicks", {0: RowPosition(3, 9)}, 0)
        config = configuration(port, dead_letters)
        self.check(config, MemorySource(logs()), "row 9 of message 3, which has 7", ChannelError, position=position)

    def test_settings_are_checked_before_any_work(self, port: int, dead_letters: Path) -> None:
        source = MemorySource(logs())
        with pytest.raises(ConfigError, match="consumer_index: 2, expected less than num_consumers, 2"):
            Consumer(configuration(port, dead_letters, consumer_index=2, num_consumers=2))
        for keys, match in (
            ({"consumer_index": 999, "num_consumers": 1000, "num_shards": 4000}, "port"),
            ({"address": "no such host"}, "address"),
            ({"numeric_transform": "minmax"}, "numeric_transform"),
            ({"dead_letter_file": str(dead_letters / "a" / "b")}, "dead_letter_file"),
        ):
            dead_letters.touch()
            with pytest.raises(ConfigError, match=match):
                Consumer(configuration(port, dead_letters, **keys), source=source).run(threading.Event())


def test_a_broker_away_at_a_start_is_waited_for(
    port: int, dead_letters: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(MemorySource):
        away = 2

        def watermarks(self, partition: int) -> Any:
            if self.away:
                self.away -= 1
                raise BrokerUnreachable("nowhere:1", 1.0)
            return super().watermarks(partition)

    config = configuration(port, dead_letters, until_end=True)
    with consumer_of(config, Away(logs(rows=50, partitions=1))):
        batches = batches_of(config)
        assert sources(list(batches)) == good(0, 50)
        batches.close()
    assert "cannot start shard 0 yet" in caplog.text


CONSUMER_PROGRAM = """
import sys, json
from pathlib import Path
from mindspore_rec.config import ConsumerConfig
from mindspore_rec.stream.consumer import Consumer, stop_on_signals
from tests.stream.memory_source import MemorySource
from tests.stream.test_consumer import logs

config = ConsumerConfig(**json.loads(sys.argv[1]))
stop = stop_on_signals()
Consumer(config, source=MemorySource(logs(rows=40_000, block_rows=50))).run(stop)
"""


def start_process(config: ConsumerConfig) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", CONSUMER_PROGRAM, config.model_dump_json()],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_a_consumer_killed_and_started_again_loses_and_doubles_nothing(port: int, dead_letters: Path) -> None:
    config = configuration(port, dead_letters, until_end=True)
    process = start_process(config)
    batches = batches_of(config, batch_size=100)
    found: List[Batch] = []
    try:
        for number in range(20, 320, 100):
            while len(found) < number:
                batch = batches.next_batch()
                assert batch is not None
                found.append(batch)
            process.kill()
            process.wait()
            process = start_process(config)
        found += list(batches)
        final = batches.final_info
    finally:
        batches.close()
        assert process.wait(20) == 0  # everything was sent and the trainer has stopped
    rows = sources(found)
    assert [row for row in rows if row < 40_000] == good(0, 40_000)
    assert [row for row in rows if row >= 40_000] == good(40_000, 80_000)
    assert final is not None
    assert sum(b.info.rejected for b in found) + final.rejected == 80_000 - len(good(0, 80_000))
    letters = {json.loads(text)["key"] for text in dead_letters.read_text().splitlines()}
    assert len(letters) == 80_000 - len(good(0, 80_000))  # at least once each


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_consumer_with_status_0(port: int, dead_letters: Path, number: int) -> None:
    config = configuration(port, dead_letters)
    process = start_process(config)
    batches = batches_of(config)
    assert batches.next_batch() is not None
    process.send_signal(number)
    assert process.wait(20) == 0
    batches.close()


@pytest.mark.kafka
@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_a_topic_of_a_real_broker(port: int, broker: Broker, topic: str, client: str) -> None:
    keys = {"topic": topic, "kafka_client": client, "bootstrap_servers": broker.bootstrap_servers}
    config = configuration(port, Path(), **keys, dead_letter_file=None, until_end=True)
    create_topic(config, topic, 2)
    with contextlib.closing(open_sink(config)) as sink:
        for messages in logs(rows=3000).values():
            for message in messages:
                sink.send(message.value, partition=message.partition, headers=message.headers)
        sink.flush(30)
    found: List[Batch] = []
    position: Optional[StreamPosition] = None
    for _ in range(3):  # consumer and trainer are new each time
        stop = threading.Event()
        consumer = threading.Thread(target=Consumer(config).run, args=(stop,))
        consumer.start()
        batches = batches_of(config, position=position, batch_size=500)
        found += [batch for batch in (batches.next_batch() for _ in range(4)) if batch]
        position = found[-1].info.position
        stop.set()
        consumer.join(30)
        assert not consumer.is_alive()
        batches.close()
    rows = sources(found)
    assert [row for row in rows if row < 3000] == good(0, 3000)
    assert [row for row in rows if row >= 3000] == good(3000, 6000)
    letters = open_source(config, f"{topic}.dlq")
    letters.assign({0: letters.watermarks(0)[0]})
    high = letters.watermarks(0)[1]
    keys_found = set()
    while len(keys_found) < 6000 - len(rows):
        for letter in letters.poll(1000, 5.0):
            assert letter.offset < high
            keys_found.add((letter.headers["partition"], letter.headers["offset"], letter.headers["row"]))
    letters.close()
