"""One contract for both Kafka clients, on Apache Kafka and, as far as it keeps to the protocol, on Tansu."""

from __future__ import annotations

import random
import time
from typing import Callable, Dict, Iterator, List

import pytest

from mindspore_rec.config import ConfigError, KafkaConfig
from mindspore_rec.stream import kafka
from mindspore_rec.stream.brokers import Broker, KafkaBroker, free_port
from mindspore_rec.stream.messages import Message

pytestmark = pytest.mark.kafka
DEADLINE = 60.0
HOUR_AGO = (int(time.time()) - 3600) * 1000
"""Stamps of 1970 would be a prey of the broker's retention, which looks every five minutes."""


@pytest.fixture(params=["confluent", "kafka-python"])
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["kafka", "tansu"])
def cluster(request: pytest.FixtureRequest) -> Broker:
    if request.param == "tansu":
        tansu: Broker = request.getfixturevalue("tansu")
        return tansu
    reason = KafkaBroker.available()
    if reason is not None:
        pytest.skip(f"no Apache Kafka: {reason}")
    running: Broker = request.getfixturevalue("broker")
    return running


@pytest.fixture
def apache(cluster: Broker) -> Broker:
    """The cluster of tests that rest on what Tansu lacks."""
    if not isinstance(cluster, KafkaBroker):
        pytest.skip("Tansu does not do this")
    return cluster


@pytest.fixture
def config(cluster: Broker, client: str, topic: str) -> KafkaConfig:
    return KafkaConfig(bootstrap_servers=cluster.bootstrap_servers, kafka_client=client, topic=topic)


@pytest.fixture
def opened(config: KafkaConfig) -> Iterator[Callable[[], kafka.Source]]:
    """Opens sources that are closed after the test."""
    sources: List[kafka.Source] = []

    def open_source() -> kafka.Source:
        sources.append(kafka.open_source(config))
        return sources[-1]

    yield open_source
    for source in sources:
        source.close()


def fill(config: KafkaConfig, values: Dict[int, List[bytes]]) -> None:
    """Send values to partitions, each stamped one second after the one before."""
    sink = kafka.open_sink(config)
    for partition, messages in values.items():
        for index, value in enumerate(messages):
            sink.send(value, partition=partition, timestamp_ms=HOUR_AGO + 1000 * index, headers={"n": b"%d" % index})
    sink.flush(DEADLINE)
    sink.close()


def numbered(count: int, start: int = 0) -> List[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


def read(source: kafka.Source, count: int, size: int = 7) -> List[Message]:
    """Exactly ``count`` messages, and no more that come at once."""
    messages: List[Message] = []
    deadline = time.monotonic() + DEADLINE
    while len(messages) < count and time.monotonic() < deadline:
        messages += source.poll(size, 0.2)
    assert len(messages) == count
    return messages


def test_messages_come_back_as_they_were_sent(config: KafkaConfig, opened: Callable[[], kafka.Source]) -> None:
    kafka.create_topic(config, None, 2)
    sink = kafka.open_sink(config)
    sink.send(b"v", partition=1, key=b"k", headers={"a": b"\x00\xff", "b": b""}, timestamp_ms=HOUR_AGO + 234)
    sink.flush(DEADLINE)
    sink.close()
    source = opened()
    assert source.describe().partitions == [0, 1]
    source.assign({0: 0, 1: 0})
    assert read(source, 1) == [Message(1, 0, HOUR_AGO + 234, {"a": b"\x00\xff", "b": b""}, b"v")]
    assert source.poll(10, 0.1) == []


def test_reading_starts_at_the_offset_assigned(config: KafkaConfig, opened: Callable[[], kafka.Source]) -> None:
    kafka.create_topic(config, None, 2)
    fill(config, {0: numbered(50), 1: numbered(50, 100)})
    source = opened()
    source.assign({0: 10, 1: 45})
    messages = read(source, 45)
    for partition, first, last in ((0, 10, 50), (1, 45, 50)):
        mine = [message for message in messages if message.partition == partition]
        assert [message.offset for message in mine] == list(range(first, last))
        assert [message.value for message in mine] == numbered(last - first, 100 * partition + first)


def test_assign_again_replaces_the_positions(config: KafkaConfig, opened: Callable[[], kafka.Source]) -> None:
    kafka.create_topic(config, None, 2)
    fill(config, {0: numbered(200), 1: numbered(200, 1000)})
    source = opened()
    source.assign({0: 0, 1: 0})
    assert source.poll(1, DEADLINE)
    source.pause([0])
    source.assign({0: 195})
    assert [message.value for message in read(source, 5)] == numbered(5, 195)
    source.assign({0: 2})
    assert [message.value for message in read(source, 198)] == numbered(198, 2)
    source.assign({1: 198})
    assert [message.value for message in read(source, 2)] == numbered(2, 1198)
    source.assign({})
    assert source.poll(5, 0.2) == []


def test_poll_returns_what_there_is_before_the_timeout(config: KafkaConfig, opened: Callable[[], kafka.Source]) -> None:
    kafka.create_topic(config, None, 1)
    fill(config, {0: numbered(3)})
    source = opened()
    source.assign({0: 0})
    assert len(source.poll(2, DEADLINE)) <= 2
    source.assign({0: 2})
    # The suite's own timeout ends this if the call waits for ten messages.
    assert [message.value for message in source.poll(10, 1000.0)] == [b"2"]


def test_a_paused_partition_is_silent_and_loses_nothing(
    config: KafkaConfig, opened: Callable[[], kafka.Source]
) -> None:
    kafka.create_topic(config, None, 2)
    fill(config, {0: numbered(300), 1: numbered(300, 1000)})
    source = opened()
    source.assign({0: 0, 1: 0})
    seen = {0: [], 1: []}  # type: Dict[int, List[bytes]]
    for message in read(source, 21):
        seen[message.partition].append(message.value)
    before = len(seen[0])
    source.pause([0])
    while len(seen[1]) < 300:
        for message in source.poll(50, DEADLINE):
            seen[message.partition].append(message.value)
    assert source.poll(50, 0.3) == []
    assert len(seen[0]) == before
    source.resume([0])
    while len(seen[0]) < 300:
        for message in source.poll(50, DEADLINE):
            seen[message.partition].append(message.value)
    assert seen == {0: numbered(300), 1: numbered(300, 1000)}


def test_watermarks_say_what_the_log_holds(config: KafkaConfig, opened: Callable[[], kafka.Source]) -> None:
    kafka.create_topic(config, None, 2)
    source = opened()
    assert source.watermarks(0) == (0, 0)
    fill(config, {0: numbered(25)})
    assert source.watermarks(0) == (0, 25)
    assert source.watermarks(1) == (0, 0)
    fill(config, {0: numbered(1)})
    assert source.watermarks(0) == (0, 26)


def test_watermarks_do_not_disturb_the_reading(config: KafkaConfig, opened: Callable[[], kafka.Source]) -> None:
    kafka.create_topic(config, None, 1)
    fill(config, {0: numbered(30)})
    source = opened()
    source.assign({0: 3})
    messages = read(source, 5, size=5)
    assert source.watermarks(0) == (0, 30)
    assert [message.value for message in messages + read(source, 22)] == numbered(27, 3)


@pytest.mark.parametrize("offset", [-1, 6, 1000])
def test_an_offset_outside_of_the_log_is_refused(
    config: KafkaConfig, opened: Callable[[], kafka.Source], offset: int
) -> None:
    kafka.create_topic(config, None, 1)
    fill(config, {0: numbered(5)})
    source = opened()
    source.assign({0: 3})
    with pytest.raises(kafka.OffsetOutOfRange, match=f"partition 0: offset {offset} .* holds 0 to 5") as caught:
        source.assign({0: offset})
    assert (caught.value.partition, caught.value.offset, caught.value.low, caught.value.high) == (0, offset, 0, 5)
    assert [message.value for message in read(source, 2)] == numbered(2, 3)


def test_the_end_of_the_log_is_a_position(config: KafkaConfig, opened: Callable[[], kafka.Source]) -> None:
    kafka.create_topic(config, None, 1)
    fill(config, {0: numbered(5)})
    source = opened()
    source.assign({0: 5})
    assert source.poll(10, 0.2) == []
    fill(config, {0: numbered(2, 5)})
    assert [message.value for message in read(source, 2)] == numbered(2, 5)


def test_offsets_are_found_by_time(apache: Broker, config: KafkaConfig, opened: Callable[[], kafka.Source]) -> None:
    kafka.create_topic(config, None, 1)
    fill(config, {0: numbered(10)})
    source = opened()
    times = [HOUR_AGO + after for after in (-1000, 0, 1, 4000, 9000, 9001)]
    assert [source.offset_at_time(0, at) for at in times] == [0, 0, 1, 4, 9, 10]


def test_messages_removed_by_retention(apache: Broker, config: KafkaConfig, opened: Callable[[], kafka.Source]) -> None:
    kafka.create_topic(config, None, 1)
    fill(config, {0: numbered(50)})
    remove_before(apache, config.topic, 20)
    source = opened()
    assert source.watermarks(0) == (20, 50)
    with pytest.raises(kafka.OffsetOutOfRange, match=r"offset 19 .* holds 20 to 50 .older messages were removed"):
        source.assign({0: 19})
    source.assign({0: 20})
    assert [message.value for message in read(source, 30)] == numbered(30, 20)


def test_messages_removed_under_a_reader_are_not_skipped(apache: Broker, config: KafkaConfig) -> None:
    little_at_once = {
        "confluent": {"queued.max.messages.kbytes": 100, "fetch.message.max.bytes": 50_000},
        "kafka-python": {"max_partition_fetch_bytes": 50_000},
    }
    kafka.create_topic(config, None, 1)
    source = kafka.open_source(config.model_copy(update={"kafka": little_at_once[config.kafka_client]}))
    sink = kafka.open_sink(config)
    noise = random.Random(1)
    for _ in range(60):
        sink.send(noise.randbytes(50_000), partition=0)
        sink.flush(DEADLINE)
    sink.close()
    source.assign({0: 0})
    offsets = [message.offset for message in read(source, 3, size=1)]
    remove_before(apache, config.topic, 55)
    with pytest.raises(kafka.OffsetOutOfRange, match="which holds 55 to 60") as caught:
        read_into(offsets, source)
    assert offsets == list(range(caught.value.offset)) and caught.value.offset < 55
    source.close()


def read_into(offsets: List[int], source: kafka.Source) -> None:
    """Add the offsets of all messages up to the last of sixty."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and offsets[-1] < 59:
        offsets += [message.offset for message in source.poll(1, 0.2)]


def remove_before(cluster: Broker, topic: str, offset: int) -> None:
    """Delete the head of partition 0, as retention does."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(topic, 0, offset)]).values():
        future.result()


def test_a_topic_that_does_not_exist(config: KafkaConfig) -> None:
    assert kafka.topic_partitions(config) == 0
    with pytest.raises(kafka.TopicMissing, match=config.topic):
        kafka.open_source(config)
    with pytest.raises(kafka.TopicMissing, match=config.topic):
        kafka.open_sink(config)
    assert kafka.topic_partitions(config) == 0, "asking for a topic created it"


def test_creating_a_topic_twice(config: KafkaConfig) -> None:
    assert kafka.create_topic(config, None, 3) == 3
    assert kafka.create_topic(config, None, 3) == 3
    assert kafka.create_topic(config, None, 5) == 3
    assert kafka.create_topic(config, f"{config.topic}.other", 1) == 1


def test_waiting_for_a_topic(config: KafkaConfig) -> None:
    asked = []

    def stop() -> bool:
        asked.append(True)
        if len(asked) == 5:
            kafka.create_topic(config, None, 1)
        return False

    assert kafka.wait_for_topic(config, None, stop, first_pause=0.01, pause=0.01)
    assert len(asked) >= 5
    assert not kafka.wait_for_topic(config, f"{config.topic}.never", lambda: True)


def test_many_bytes_pass_the_bounded_queue(
    config: KafkaConfig, opened: Callable[[], kafka.Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("kafka_confluent", "kafka_python"):
        monkeypatch.setattr(f"mindspore_rec.stream.{module}.MAX_QUEUED_BYTES", 1 << 20)
    kafka.create_topic(config, None, 1)
    block = bytes(range(256)) * 1000
    fill(config, {0: [block] * 40})
    source = opened()
    source.assign({0: 0})
    assert all(message.value == block for message in read(source, 40))


def test_a_commit_is_for_show(config: KafkaConfig, opened: Callable[[], kafka.Source]) -> None:
    kafka.create_topic(config, None, 1)
    fill(config, {0: numbered(5)})
    source = opened()
    source.assign({0: 0})
    source.commit({0: 4})
    assert [message.value for message in read(source, 5)] == numbered(5)


def test_closing_twice(config: KafkaConfig) -> None:
    kafka.create_topic(config, None, 1)
    source, sink = kafka.open_source(config), kafka.open_sink(config)
    for _ in range(2):
        source.close()
        sink.close()


@pytest.mark.slow
def test_both_ends_survive_a_restart_of_the_broker(
    apache: Broker, config: KafkaConfig, opened: Callable[[], kafka.Source]
) -> None:
    kafka.create_topic(config, None, 1)
    source = opened()
    source.assign({0: 0})
    sink = kafka.open_sink(config)
    for value in numbered(10):
        sink.send(value, partition=0)
    sink.flush(DEADLINE)
    assert [message.value for message in read(source, 10)] == numbered(10)
    apache.kill()
    for value in numbered(10, 10):
        sink.send(value, partition=0)
    assert source.poll(1, 0.5) == []
    with pytest.raises(kafka.DeliveryFailed, match="10 messages are not acknowledged"):
        sink.flush(0.1)
    apache.start()
    sink.flush(DEADLINE)
    sink.close()
    assert [message.value for message in read(source, 10)] == numbered(10, 10)


def test_no_broker_is_one_line_that_says_how_to_start_one(client: str) -> None:
    config = KafkaConfig(bootstrap_servers=f"127.0.0.1:{free_port()}", kafka_client=client, broker_timeout=1.0)
    for call in (
        lambda: kafka.open_source(config),
        lambda: kafka.open_sink(config),
        lambda: kafka.create_topic(config, "t", 1),
        lambda: kafka.wait_for_topic(config, "t", lambda: False),
    ):
        with pytest.raises(kafka.BrokerUnreachable, match=r"bash scripts/start_kafka\.sh") as caught:
            call()
        assert "\n" not in str(caught.value) and config.bootstrap_servers in str(caught.value)


@pytest.mark.parametrize(
    ("client", "settings", "message"),
    [
        ("confluent", {"auto.offset.reset": "latest"}, "'auto.offset.reset' is set by this program"),
        ("kafka-python", {"enable_auto_commit": True}, "'enable_auto_commit' is set by this program"),
        ("confluent", {"sasl.mechanism": "PLAIN", "security.protocoll": "SASL_SSL"}, "security.protocoll"),
        ("kafka-python", {"sasl_mechanisms": "PLAIN"}, "'sasl_mechanisms'; did you mean 'sasl_mechanism'"),
    ],
)
def test_settings_that_cannot_work_are_refused(client: str, settings: Dict[str, object], message: str) -> None:
    config = KafkaConfig(bootstrap_servers="127.0.0.1:1", kafka_client=client, kafka=settings, broker_timeout=0.5)
    with pytest.raises(ConfigError, match=f"^kafka: .*{message}"):
        kafka.open_source(config)


def test_client_settings_pass_through(client: str, cluster: Broker, topic: str) -> None:
    names = {"confluent": ["client.id", "fetch.wait.max.ms", "linger.ms"], "kafka-python": ["client_id", "linger_ms"]}
    settings = {name: "mine" if "id" in name else 1 for name in names[client]}
    config = KafkaConfig(bootstrap_servers=cluster.bootstrap_servers, kafka_client=client, topic=topic, kafka=settings)
    kafka.create_topic(config, None, 1)
    fill(config, {0: numbered(2)})
    source = kafka.open_source(config)
    source.assign({0: 0})
    assert len(read(source, 2)) == 2
    source.close()
