"""What becomes of a stream when its topic or its broker is damaged: docs/faults.md, row by row.

Each over both clients, against an Apache Kafka of this file's own, with the real consumer in a thread.
"""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path
from typing import Iterator

import numpy as np
import pytest

from mindspore_rec.stream.batches import StreamBatches
from mindspore_rec.stream.brokers import BROKERS, Broker, KafkaBroker, free_port
from mindspore_rec.stream.channel import ChannelError
from mindspore_rec.stream.dead_letter import open_dead_letters
from mindspore_rec.stream.kafka import OffsetOutOfRange, TopicMissing, TopicRecreated, create_topic, open_sink
from mindspore_rec.stream.messages import encode_block
from mindspore_rec.stream.position import StreamPosition
from mindspore_rec.stream.rejects import Rejects
from mindspore_rec.stream.transform import Reject
from tests.stream.fault_topics import RunningConsumer, Topic, by_partition, consumer_of, take, trainer_of, wait_until
from tests.stream.free_ports import free_ports

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka that tests may kill, but leave running."""
    reason = KafkaBroker.available()
    if reason is not None:
        pytest.skip(f"no Apache Kafka: {reason}")
    with BROKERS["kafka"](tmp_path_factory.mktemp("own"), port=0) as running:
        yield running


@pytest.fixture(params=["confluent", "kafka-python"])
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clicks(own_broker: Broker, topic: str, client: str, tmp_path: Path) -> Topic:
    """A topic of 500 rows in each of two partitions, every eleventh of them bad."""
    made = Topic(own_broker, topic, client)
    own = {"port": free_ports(4), "dense_dim": 1, "slot_dim": 1, "window_size": 20}
    made.config = made.config.model_copy(update={**own, "dead_letter_file": str(tmp_path / "rejects.jsonl")})
    made.write(500)
    return made


def refused(clicks: Topic, consumer: RunningConsumer, kind: type, match: str, position: StreamPosition) -> None:
    """A trainer that continues at ``position`` and the consumer end with the same line."""
    with trainer_of(clicks.config, position=position) as batches, pytest.raises(ChannelError, match=match) as told:
        batches.next_batch()
    consumer.join()
    assert isinstance(consumer.error, kind)
    assert str(told.value) == str(consumer.error) and "\n" not in str(told.value)


def saved_position(clicks: Topic, rows: int = 600) -> StreamPosition:
    with consumer_of(clicks.config), trainer_of(clicks.config) as batches:
        return take(batches, rows)[-1].info.position


def both_end(consumer: RunningConsumer, kind: type, match: str, batches: StreamBatches) -> None:
    """A running trainer and the consumer end with the same line."""
    with pytest.raises(ChannelError, match=match) as told:
        take(batches, 10**9)
    consumer.join()
    assert isinstance(consumer.error, kind)
    assert str(told.value) == str(consumer.error) and "\n" not in str(told.value)


class TestBroker:
    @pytest.mark.slow
    def test_killed_and_back_nothing_is_lost_or_doubled(self, clicks: Topic, caplog: pytest.LogCaptureFixture) -> None:
        clicks.config = clicks.config.model_copy(update={"dead_letter_file": None})
        servers = clicks.broker.bootstrap_servers
        letters = open_dead_letters(clicks.config)
        rejects = Rejects(clicks.name, letters)
        with letters, consumer_of(clicks.config), trainer_of(clicks.config) as batches:
            found = take(batches, 500)
            clicks.broker.kill()
            wait_until(lambda: f"Kafka broker {servers} is away, trying again" in caplog.text)
            rejects.put(0, [Reject(0, 0, "label", b"7")])
            assert not rejects.safe()  # and no frame leaves
            clicks.broker.start()
            wait_until(rejects.safe)
            clicks.write(500)
            found += take(batches, len(clicks.good(0)) + len(clicks.good(1)) - 32 - sum(b.info.rows for b in found))
            wait_until(lambda: f"Kafka broker {servers} answers again" in caplog.text)
        for partition, rows in by_partition(found).items():
            assert rows == clicks.good(partition)[: len(rows)]

    @pytest.mark.slow
    def test_a_trainer_that_comes_and_goes_meanwhile_does_not_end_the_consumer(
        self, clicks: Topic, caplog: pytest.LogCaptureFixture
    ) -> None:
        clicks.config = clicks.config.model_copy(update={"broker_timeout": 1.0})
        with consumer_of(clicks.config) as consumer:
            with trainer_of(clicks.config) as batches:
                found = take(batches, 100)
                clicks.broker.kill()
                wait_until(lambda: "is away, trying again" in caplog.text)
            with trainer_of(clicks.config, position=found[-1].info.position) as batches:
                wait_until(lambda: batches.wait_started(0.1) or "cannot start shard 0 yet" in caplog.text)
                assert consumer.error is None
                clicks.broker.start()
                found += take(batches, 700)
        for partition, rows in by_partition(found).items():
            assert rows == clicks.good(partition)[: len(rows)]

    @pytest.mark.slow
    def test_down_at_the_start_it_is_waited_for_as_long_as_broker_timeout(self, clicks: Topic) -> None:
        clicks.broker.kill()
        with consumer_of(clicks.config), trainer_of(clicks.config) as batches:
            clicks.broker.start()
            take(batches, 700)

    def test_down_at_the_start_for_longer_is_refused(self, client: str, tmp_path: Path) -> None:
        nowhere = BROKERS["kafka"](tmp_path, port=free_port())
        config = Topic(nowhere, "t", client, partitions=0).config
        with consumer_of(config.model_copy(update={"port": free_ports(1), "broker_timeout": 0.5})) as consumer:
            consumer.join()
        assert f"no Kafka broker answers at {nowhere.bootstrap_servers} within 0.5 s" in str(consumer.error)


class TestTopic:
    @pytest.mark.slow
    def test_absent_it_is_waited_for_also_while_the_broker_is_away(
        self, own_broker: Broker, topic: str, clicks: Topic, caplog: pytest.LogCaptureFixture
    ) -> None:
        late = Topic(own_broker, f"{topic}.late", clicks.config.kafka_client, partitions=0)
        late.config = clicks.config.model_copy(update={"topic": late.name, "broker_timeout": 1.0})
        with consumer_of(late.config) as consumer, trainer_of(late.config) as batches:
            wait_until(lambda: f"waiting for topic {late.name}" in caplog.text)
            own_broker.kill()
            wait_until(lambda: "is away, trying again" in caplog.text)
            own_broker.start()
            assert consumer.error is None
            create_topic(clicks.config, late.name, 2)
            late.write(300)
            found = take(batches, 500)
        assert by_partition(found)[0] == late.good(0)[: len(by_partition(found)[0])]

    def test_deleted_while_it_is_read_both_ends_say_so(self, clicks: Topic) -> None:
        with consumer_of(clicks.config) as consumer, trainer_of(clicks.config) as batches:
            take(batches, 100)
            clicks.delete()
            both_end(consumer, TopicMissing, f"topic '{clicks.name}' does not exist", batches)

    @pytest.mark.parametrize("rows", [100, 900])
    def test_created_anew_a_saved_position_is_refused(self, clicks: Topic, rows: int) -> None:
        position = saved_position(clicks)
        assert position.topic_id
        clicks.recreate(rows)
        with consumer_of(clicks.config) as consumer:
            match = f"'{clicks.name}' was deleted and created anew: its id is .* of {position.topic_id}"
            refused(clicks, consumer, TopicRecreated, match, position)

    def test_created_anew_while_it_is_read_both_ends_say_so(self, clicks: Topic) -> None:
        with consumer_of(clicks.config) as consumer, trainer_of(clicks.config) as batches:
            take(batches, 100)
            clicks.recreate(900)
            both_end(consumer, TopicRecreated, "was deleted and created anew", batches)

    def test_a_position_without_a_topic_id_is_taken_as_it_is(self, clicks: Topic) -> None:
        """Checkpoints from before there were ids, and brokers that have none."""
        saved = saved_position(clicks, 300)
        position = StreamPosition(saved.topic, saved.next, saved.turn, saved.window_rows)
        with consumer_of(clicks.config), trainer_of(clicks.config, position=position) as batches:
            assert take(batches, 100)[-1].info.position.topic_id == saved.topic_id


class TestPartitionsAdded:
    def test_they_join_when_the_trainer_starts_again(self, clicks: Topic, caplog: pytest.LogCaptureFixture) -> None:
        line = f"topic {clicks.name}: partition 2, 3 added; read once the trainer starts again"
        with trainer_of(clicks.config) as batches:
            with consumer_of(clicks.config):
                found = take(batches, 100)
                clicks.add_partitions(4)
                clicks.write(200, range(4))
                wait_until(lambda: line in caplog.text)
                found += take(batches, 600)
                caplog.clear()
            with consumer_of(clicks.config):  # started anew, it serves the running trainer its old partitions
                found += take(batches, 400)
                assert line in caplog.text
        assert set(by_partition(found)) == set(found[-1].info.position.next) == {0, 1}
        position = found[-1].info.position
        with consumer_of(clicks.config), trainer_of(clicks.config, position=position, start="latest") as batches:
            found += take(batches, len(clicks.good(2)))
        for partition, rows in by_partition(found).items():
            assert rows == clicks.good(partition)[: len(rows)]
        assert set(by_partition(found)) == {0, 1, 2, 3}

    def test_a_consumer_that_ran_all_along_serves_them_too(self, clicks: Topic) -> None:
        with consumer_of(clicks.config):
            with trainer_of(clicks.config) as batches:
                found = take(batches, 100)
            clicks.add_partitions(4)
            clicks.write(200, range(2, 4))
            with trainer_of(clicks.config, position=found[-1].info.position) as batches:
                found += take(batches, 300)
        assert set(by_partition(found)) == {0, 1, 2, 3}
        for partition, rows in by_partition(found).items():
            assert rows == clicks.good(partition)[: len(rows)]


class TestLog:
    def test_retention_ate_the_saved_position(self, clicks: Topic) -> None:
        position = saved_position(clicks, 300)
        offset = position.next[1].offset
        clicks.remove_before(1, offset + 1)
        with consumer_of(clicks.config) as consumer:
            match = f"partition 1: offset {offset} is not in the log, which holds {offset + 1} to 50 .older messages"
            refused(clicks, consumer, OffsetOutOfRange, match, position)

    def test_retention_ate_what_was_to_be_read_next(self, clicks: Topic) -> None:
        little_at_once = {
            "confluent": {"queued.max.messages.kbytes": 100, "fetch.message.max.bytes": 20_000},
            "kafka-python": {"max_partition_fetch_bytes": 20_000},
        }
        settings = little_at_once[clicks.config.kafka_client]
        clicks.config = clicks.config.model_copy(update={"kafka": settings, "window_size": 1000})
        for _ in range(10):
            clicks.write(10_000)
        with consumer_of(clicks.config) as consumer, trainer_of(clicks.config, max_queue_size=1) as batches:
            take(batches, 32)
            clicks.remove_before(1, 10_040)
            both_end(consumer, OffsetOutOfRange, "older messages were removed", batches)

    def test_shorter_than_the_saved_position_is_refused(self, clicks: Topic) -> None:
        position = saved_position(clicks)
        longer = StreamPosition(clicks.name, {**position.next, 1: (51, 0)}, 0, topic_id=position.topic_id)
        with consumer_of(clicks.config) as consumer:
            match = "partition 1: offset 51 is not in the log, which holds 0 to 50 .the broker lost newer ones"
            refused(clicks, consumer, OffsetOutOfRange, match, longer)

    @pytest.mark.slow
    def test_the_broker_loses_its_tail_while_it_is_read(self, clicks: Topic) -> None:
        with consumer_of(clicks.config) as consumer, trainer_of(clicks.config) as batches:
            take(batches, 850)
            clicks.broker.kill()
            cut_tail(clicks.broker, clicks.name, 1)
            clicks.broker.start()
            match = r"partition 1: offset 50 is not in the log, which holds 0 to \d+ .*the broker lost newer ones"
            both_end(consumer, OffsetOutOfRange, match, batches)

    def test_a_message_larger_than_a_fetch_is_read(self, clicks: Topic) -> None:
        noise = random.Random(1)
        lines = [b"0\t%d\t%s" % (row, noise.randbytes(500).hex().encode()) for row in range(4000)]
        value, headers = encode_block(b"\n".join(lines), 500, np.arange(4000))
        assert len(value) > 4_000_000  # where both clients fetch 1 MiB of a partition
        with closing(open_sink(clicks.config)) as sink:
            sink.send(value, partition=0, headers=headers)
            sink.flush(60)
        clicks.write(10, [1])
        clicks.config = clicks.config.model_copy(update={"window_size": 500})
        with consumer_of(clicks.config), trainer_of(clicks.config, max_wait=0.1, batch_size=100) as batches:
            found = take(batches, len(clicks.good(0)) + len(clicks.good(1)) + 4000)
        assert by_partition(found) == {0: clicks.good(0) + list(range(500, 4500)), 1: clicks.good(1)}


def cut_tail(broker: Broker, topic: str, partition: int) -> None:
    """Take the second half of a partition's log from the disk of a broker that is down."""
    folder = broker.folder / "data" / f"{topic}-{partition}"
    (segment,) = folder.glob("*.log")
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size // 2)
    for index in [*folder.glob("*.index"), *folder.glob("*.timeindex"), *folder.glob("*.snapshot")]:
        index.unlink()
    for checkpoint in (broker.folder / "data").glob("*-checkpoint"):
        checkpoint.unlink()
