"""The source and sink over confluent-kafka (librdkafka)."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from mindspore_rec.config import KafkaConfig
from mindspore_rec.stream.confluent_connection import (
    BROKER_AWAY,
    Connection,
    describe_topic,
    list_partitions,
    open_client,
)
from mindspore_rec.stream.continuity import Continuity
from mindspore_rec.stream.kafka import (
    DELIVERY_TIMEOUT,
    MAX_MESSAGE_BYTES,
    MAX_QUEUED_BYTES,
    ClientFailed,
    DeliveryFailed,
    MessageTooLarge,
    NotAcknowledged,
    OffsetOutOfRange,
    TopicMissing,
    TopicState,
)
from mindspore_rec.stream.messages import Message

logger = logging.getLogger(__name__)

_POSITION_LOST = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION)
_TOPIC_GONE = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)
_LEADER_UNKNOWN = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,  # of a broker that was restarted a moment ago
)


class ConfluentSource:
    """``Source`` over two consumers: one reads, the other answers questions about the log."""

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._connection = Connection(config)
        self._config = config
        self._topic = topic
        defaults = {"group.id": f"mindspore_rec.{topic}", "fetch.error.backoff.ms": 100, "check.crcs": True}
        fixed = {"enable.auto.commit": False, "enable.auto.offset.store": False, "auto.offset.reset": "error"}
        self._consumer = open_client(confluent_kafka.Consumer, self._connection.settings(defaults, fixed))
        probe = {"fetch.wait.max.ms": 10, "enable.partition.eof": True}
        self._probe = open_client(confluent_kafka.Consumer, {**self._connection.settings(defaults, fixed), **probe})
        self._admin = open_client(AdminClient, self._connection.settings({}, {}))
        self._continuity = Continuity(topic, self.watermarks)
        self._failure: Optional[Exception] = None
        self._closed = False
        self._partitions: List[int] = []
        try:
            self.describe()
        except Exception:
            self.close()
            raise

    def describe(self, timeout: Optional[float] = None) -> TopicState:
        """As in ``Source``. Partitions that were added are unknown to both consumers until they list them."""
        state = describe_topic(self._admin, self._connection, self._topic, timeout)
        if state.partitions != self._partitions:
            for consumer in (self._consumer, self._probe):
                list_partitions(consumer, self._connection, self._topic)
            self._partitions = state.partitions
        return state

    def watermarks(self, partition: int) -> Tuple[int, int]:
        """As in ``Source``. The end is taken from a fetch response, as Tansu lists a wrong one."""
        timeout = self._config.broker_timeout
        low, listed = self._ask(lambda: self._probe.get_watermark_offsets(self._at(partition), timeout))
        self._probe.assign([self._at(partition, listed)])
        try:
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                if self._probe.consume(1, 0.1):
                    high = self._probe.get_watermark_offsets(self._at(partition), cached=True)[1]
                    return low, max(high, listed)
        finally:
            self._probe.unassign()
        raise self._connection.unreachable()

    def offset_at_time(self, partition: int, timestamp_ms: int) -> int:
        at = self._at(partition, timestamp_ms)
        (found,) = self._ask(lambda: self._probe.offsets_for_times([at], self._config.broker_timeout))
        if found.error is not None:
            raise self._connection.failed(found.error)
        return int(found.offset) if found.offset >= 0 else self.watermarks(partition)[1]

    def assign(self, positions: Mapping[int, int]) -> None:
        for partition, offset in positions.items():
            low, high = self.watermarks(partition)
            if not low <= offset <= high:
                raise OffsetOutOfRange(self._topic, partition, offset, low, high)
        assigned = [self._at(partition, offset) for partition, offset in positions.items()]
        self._failure = None
        self._continuity.restart(positions)
        self._consumer.assign(assigned)
        self._consumer.resume(assigned)

    def poll(self, max_messages: int, timeout: float) -> List[Message]:
        if self._failure is not None:
            raise self._failure
        polled = self._consumer.consume(1, timeout)
        if polled and max_messages > 1:
            polled += self._consumer.consume(max_messages - 1, 0)
        messages = []
        for record in polled:
            if record.error() is not None:
                self._failure = self._failure or self._fatal(record.error(), record.partition())
                continue
            messages.append(
                Message(
                    record.partition(),
                    record.offset(),
                    record.timestamp()[1],
                    {key: value or b"" for key, value in record.headers() or ()},
                    record.value() or b"",
                )
            )
        if messages:
            self._connection.presence.answered()
            self._continuity.check(messages)
        elif self._failure is not None:
            raise self._failure
        return messages

    def pause(self, partitions: Iterable[int]) -> None:
        self._consumer.pause([self._at(partition) for partition in partitions])

    def resume(self, partitions: Iterable[int]) -> None:
        self._consumer.resume([self._at(partition) for partition in partitions])

    def commit(self, positions: Mapping[int, int]) -> None:
        try:
            offsets = [self._at(partition, offset) for partition, offset in positions.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            logger.debug("commit for lag displays: %s", error)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._consumer.close()
            self._probe.close()

    def _ask(self, request: Callable[[], Any]) -> Any:
        """The answer to a request, asked again while the leader of a partition is being found."""
        deadline = time.monotonic() + self._config.broker_timeout
        while True:
            try:
                return request()
            except KafkaException as error:
                code = error.args[0].code()
                if code not in _LEADER_UNKNOWN or time.monotonic() > deadline:
                    if code in _TOPIC_GONE:
                        raise TopicMissing(self._topic, self._config.bootstrap_servers) from None
                    raise self._connection.failed(error.args[0]) from None
                self._probe.poll(0.05)

    def _at(self, partition: int, offset: int = -1) -> TopicPartition:
        return TopicPartition(self._topic, partition, offset)

    def _fatal(self, error: KafkaError, partition: int) -> Optional[Exception]:
        """The exception for an error that came in place of a message; None where the client retries by itself."""
        if error.code() in _POSITION_LOST:
            return self._continuity.lost(partition)
        if error.code() in _TOPIC_GONE:
            return TopicMissing(self._topic, self._config.bootstrap_servers)
        if error.code() in BROKER_AWAY or error.retriable():
            logger.debug("%s partition %d: %s", self._topic, partition, error.str())
            return None
        return ClientFailed(f"topic {self._topic!r} partition {partition}: {error.str()}")


class ConfluentSink:
    """``Sink`` over an idempotent producer."""

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._connection = Connection(config)
        self._topic = topic
        defaults = {
            "compression.type": "lz4",
            "linger.ms": 5,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "queue.buffering.max.kbytes": MAX_QUEUED_BYTES >> 10,
            "delivery.timeout.ms": int(DELIVERY_TIMEOUT * 1000),
        }
        fixed = {"enable.idempotence": True, "acks": "all"}
        self._producer = open_client(confluent_kafka.Producer, self._connection.settings(defaults, fixed))
        self._failure: Optional[DeliveryFailed] = None
        self._closed = False
        if not list_partitions(self._producer, self._connection, topic):
            raise TopicMissing(topic, config.bootstrap_servers)

    def send(
        self,
        value: bytes,
        *,
        partition: Optional[int] = None,
        key: Optional[bytes] = None,
        headers: Optional[Mapping[str, bytes]] = None,
        timestamp_ms: Optional[int] = None,
    ) -> None:
        options: Dict[str, Any] = {} if partition is None else {"partition": partition}
        if timestamp_ms is not None:
            options["timestamp"] = timestamp_ms
        if headers:
            options["headers"] = list(headers.items())
        while True:
            if self._failure is not None:
                raise self._failure
            try:
                self._producer.produce(self._topic, value, key, on_delivery=self._delivered, **options)
            except BufferError:
                self._producer.poll(0.1)
                continue
            except KafkaException as error:
                raise self._refused(error.args[0], len(value)) from None
            self._producer.poll(0)
            return

    def flush(self, timeout: float) -> None:
        left = self._producer.flush(timeout)
        if self._failure is not None:
            raise self._failure
        if left:
            raise NotAcknowledged(self._topic, left, timeout)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._producer.purge()
            self._producer.flush(1.0)

    def _delivered(self, error: Optional[KafkaError], message: confluent_kafka.Message) -> None:
        if error is None:
            self._connection.presence.answered()
        elif self._failure is None and not self._closed:
            self._failure = self._refused(error, len(message.value() or b""))

    def _refused(self, error: KafkaError, size: int) -> DeliveryFailed:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return MessageTooLarge(self._topic, size)
        return DeliveryFailed(f"topic {self._topic!r}: a message was not delivered: {error.str()}")


def open_source(config: KafkaConfig, topic: str) -> ConfluentSource:
    """A source on ``topic``."""
    return ConfluentSource(config, topic)


def open_sink(config: KafkaConfig, topic: str) -> ConfluentSink:
    """A sink on ``topic``."""
    return ConfluentSink(config, topic)


def topic_partitions(config: KafkaConfig, topic: str) -> int:
    """Partitions of ``topic``; 0 where it does not exist."""
    connection = Connection(config)
    return list_partitions(open_client(AdminClient, connection.settings({}, {})), connection, topic)


def create_topic(config: KafkaConfig, topic: str, partitions: int) -> None:
    """Ask the broker for ``topic``; nothing happens if it exists."""
    connection = Connection(config)
    admin = open_client(AdminClient, connection.settings({}, {}))
    if list_partitions(admin, connection, topic):
        return
    timeout = config.broker_timeout
    created = admin.create_topics([NewTopic(topic, partitions)], operation_timeout=timeout, request_timeout=timeout)
    try:
        created[topic].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise connection.failed(error.args[0]) from None
