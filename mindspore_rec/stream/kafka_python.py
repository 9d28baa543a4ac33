"""The source and sink over kafka-python."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from contextlib import closing
from typing import Any, Deque, Dict, Iterable, List, Mapping, Optional, Set, Tuple

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka import errors as kafka_errors

from mindspore_rec.config import KafkaConfig
from mindspore_rec.stream.continuity import Continuity
from mindspore_rec.stream.kafka import (
    DELIVERY_TIMEOUT,
    MAX_MESSAGE_BYTES,
    MAX_QUEUED_BYTES,
    BrokerUnreachable,
    ClientFailed,
    DeliveryFailed,
    MessageTooLarge,
    NotAcknowledged,
    OffsetOutOfRange,
    TopicMissing,
    TopicState,
)
from mindspore_rec.stream.kafka_python_connection import open_client, user_errors
from mindspore_rec.stream.messages import Message
from mindspore_rec.stream.presence import BrokerPresence

logger = logging.getLogger(__name__)

MAX_QUEUED_MESSAGES = 100_000
"""Messages a sink holds unacknowledged before ``send`` blocks: this client has no bound of its own."""
ACKNOWLEDGE_SECONDS = 2.0
"""How long a message may be under way before the broker counts as away."""
_EVERYTHING = 1 << 30

_READING = {"enable_auto_commit": False, "auto_offset_reset": "none", "allow_auto_create_topics": False}
_WRITING = {"enable_idempotence": True, "acks": "all", "allow_auto_create_topics": False}


class KafkaPythonSource:
    """``Source`` over two consumers: one reads, the other answers questions about the log.

    The reading one has no group, or each poll would wait for the group's coordinator. Each poll takes all it has
    fetched and the surplus is kept here: in release 3.0 a partition that is paused while some of a fetch is left in the
    client stays silent for ever.
    """

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._config = config
        self._topic = topic
        self._timeout_ms = int(config.broker_timeout * 1000)
        self._consumer = open_client(KafkaConsumer, config, {}, _READING, group_id=None)
        self._probe = open_client(KafkaConsumer, config, {}, _READING, group_id=None, fetch_max_wait_ms=10)
        self._committer: Any = None
        self._admin: Any = None
        self._presence = BrokerPresence(config.bootstrap_servers)
        try:
            self.describe()
        except Exception:
            self.close()
            raise
        self._continuity = Continuity(topic, self.watermarks)
        self._surplus: Dict[int, Deque[Any]] = {}
        self._paused: Set[int] = set()

    def describe(self, timeout: Optional[float] = None) -> TopicState:
        """As in ``Source``. The admin client does not find a broker again that was away: it is opened anew."""
        limit = self._config.broker_timeout if timeout is None else timeout
        try:
            if self._admin is None:
                limit_ms = int(limit * 1000)
                self._admin = open_client(KafkaAdminClient, self._config, {}, {}, bootstrap_timeout_ms=limit_ms)
            with user_errors(self._config):
                (found,) = self._admin.describe_topics([self._topic])
        except BrokerUnreachable:
            self._presence.silent()
            if self._admin is not None:
                self._admin.close()
                self._admin = None
            raise
        self._presence.answered()
        if not found["partitions"]:
            raise TopicMissing(self._topic, self._config.bootstrap_servers)
        partitions = sorted(part["partition_index"] for part in found["partitions"])
        return TopicState(str(found["topic_id"] or ""), partitions)

    def watermarks(self, partition: int) -> Tuple[int, int]:
        """As in ``Source``. The end is taken from a fetch response, as Tansu lists a wrong one."""
        at = self._at(partition)
        self.describe()  # the client asks without end for offsets of a topic that is gone
        with user_errors(self._config):
            low = self._probe.beginning_offsets([at], self._timeout_ms)[at]
            listed = self._probe.end_offsets([at], self._timeout_ms)[at]
            self._probe.assign([at])
            self._probe.seek(at, listed)
            deadline = time.monotonic() + self._config.broker_timeout
            while time.monotonic() < deadline:
                self._probe.poll(50)
                high = self._probe.highwater(at)
                if high is not None:
                    return low, max(high, listed)
        raise BrokerUnreachable(self._config.bootstrap_servers, self._config.broker_timeout)

    def offset_at_time(self, partition: int, timestamp_ms: int) -> int:
        at = self._at(partition)
        with user_errors(self._config):
            found = self._probe.offsets_for_times({at: timestamp_ms}, self._timeout_ms)[at]
        return int(found.offset) if found is not None and found.offset >= 0 else self.watermarks(partition)[1]

    def assign(self, positions: Mapping[int, int]) -> None:
        for partition, offset in positions.items():
            low, high = self.watermarks(partition)
            if not low <= offset <= high:
                raise OffsetOutOfRange(self._topic, partition, offset, low, high)
        self._continuity.restart(positions)
        self._surplus = {partition: deque() for partition in positions}
        self._paused = set()
        self._consumer.assign([])
        self._consumer.assign([self._at(partition) for partition in positions])
        for partition, offset in positions.items():
            self._consumer.seek(self._at(partition), offset)

    def poll(self, max_messages: int, timeout: float) -> List[Message]:
        if not self._ready():
            self._fetch(timeout)
        messages: List[Message] = []
        for partition in self._ready():
            surplus = self._surplus[partition]
            taken = min(len(surplus), max_messages - len(messages))
            messages += [_message(surplus.popleft()) for _ in range(taken)]
        self._continuity.check(messages)
        return messages

    def pause(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            self._paused.add(partition)
            self._consumer.pause(self._at(partition))

    def resume(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            self._paused.discard(partition)
            self._consumer.resume(self._at(partition))

    def commit(self, positions: Mapping[int, int]) -> None:
        try:
            if self._committer is None:
                group = self._config.kafka.get("group_id", f"mindspore_rec.{self._topic}")
                self._committer = open_client(KafkaConsumer, self._config, {}, _READING, group_id=group)
            offsets = {self._at(partition): OffsetAndMetadata(at, "", -1) for partition, at in positions.items()}
            self._committer.commit_async(offsets)
        except (kafka_errors.KafkaError, ConnectionError, ClientFailed) as error:
            logger.debug("commit for lag displays: %s", error)

    def close(self) -> None:
        for consumer in (self._consumer, self._probe, self._committer):
            if consumer is not None:
                consumer.close(timeout_ms=1000)
        if self._admin is not None:
            self._admin.close()

    def _at(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

    def _ready(self) -> List[int]:
        """Partitions with surplus that are not paused."""
        return [partition for partition, kept in self._surplus.items() if kept and partition not in self._paused]

    def _fetch(self, timeout: float) -> None:
        """Wait for messages and add them to the surplus."""
        try:
            polled = self._consumer.poll(int(timeout * 1000), _EVERYTHING)
        except (kafka_errors.OffsetOutOfRangeError, kafka_errors.LogTruncationError) as error:
            raise self._continuity.lost(_partition_of(error)) from None
        except kafka_errors.RetriableError as error:
            logger.debug("%s: %s", self._topic, error)
            return
        except kafka_errors.KafkaError as error:
            raise ClientFailed(f"topic {self._topic!r}: {error}") from None
        for at, records in polled.items():
            self._surplus[at.partition].extend(records)


class KafkaPythonSink:
    """``Sink`` over an idempotent producer, with a bounded number of messages under way."""

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._topic = topic
        timeout_ms = int(DELIVERY_TIMEOUT * 1000)
        defaults = {
            "compression_type": "lz4",
            "linger_ms": 5,
            "batch_size": 1_000_000,
            "max_request_size": MAX_MESSAGE_BYTES,
            "delivery_timeout_ms": timeout_ms,
            "max_block_ms": timeout_ms,
        }
        self._producer = open_client(KafkaProducer, config, defaults, _WRITING)
        self._under_way: Deque[Tuple[Any, int, float]] = deque()
        self._bytes = 0
        self._presence = BrokerPresence(config.bootstrap_servers)
        self._presence.answered()
        if not topic_partitions(config, topic):
            self.close()
            raise TopicMissing(topic, config.bootstrap_servers)
        with user_errors(config):
            self._producer.partitions_for(topic)  # else the first send would wait for a broker that is away

    def send(
        self,
        value: bytes,
        *,
        partition: Optional[int] = None,
        key: Optional[bytes] = None,
        headers: Optional[Mapping[str, bytes]] = None,
        timestamp_ms: Optional[int] = None,
    ) -> None:
        self._settle(MAX_QUEUED_MESSAGES - 1, MAX_QUEUED_BYTES, math.inf)
        pairs = list(headers.items()) if headers else None
        try:
            future = self._producer.send(self._topic, value, key, pairs, partition, timestamp_ms)
        except (kafka_errors.KafkaError, AssertionError, ValueError) as error:
            raise self._refused(error, len(value)) from None
        self._under_way.append((future, len(value), time.monotonic()))
        self._bytes += len(value)

    def flush(self, timeout: float) -> None:
        self._settle(0, 0, timeout)

    def close(self) -> None:
        try:
            self._producer.close(timeout=1.0)
        except kafka_errors.KafkaTimeoutError as error:
            logger.debug("closed with %d messages under way: %s", len(self._under_way), error)

    def _settle(self, messages: int, size: int, timeout: float) -> None:
        """Wait until at most ``messages`` and ``size`` bytes are under way."""
        deadline = time.monotonic() + timeout
        while self._under_way:
            future, length, sent = self._under_way[0]
            if not future.is_done:
                if time.monotonic() - sent > ACKNOWLEDGE_SECONDS:
                    self._presence.silent()
                if len(self._under_way) <= messages and self._bytes <= size:
                    return
                try:
                    future.get(timeout=max(0.0, min(0.1, deadline - time.monotonic())))
                except kafka_errors.KafkaTimeoutError:
                    if time.monotonic() < deadline:
                        continue
                    raise NotAcknowledged(self._topic, len(self._under_way), timeout) from None
                except kafka_errors.KafkaError as error:
                    raise self._refused(error, length) from None
            if future.failed():
                raise self._refused(future.exception, length)
            self._presence.answered()
            self._under_way.popleft()
            self._bytes -= length

    def _refused(self, error: Exception, size: int) -> DeliveryFailed:
        if isinstance(error, (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)):
            return MessageTooLarge(self._topic, size)
        return DeliveryFailed(f"topic {self._topic!r}: a message was not delivered: {error}")


def open_source(config: KafkaConfig, topic: str) -> KafkaPythonSource:
    """A source on ``topic``."""
    return KafkaPythonSource(config, topic)


def open_sink(config: KafkaConfig, topic: str) -> KafkaPythonSink:
    """A sink on ``topic``."""
    return KafkaPythonSink(config, topic)


def topic_partitions(config: KafkaConfig, topic: str) -> int:
    """Partitions of ``topic``; 0 where it does not exist. All topics are listed: some brokers create one asked for."""
    with closing(open_client(KafkaAdminClient, config, {}, {})) as admin, user_errors(config):
        return sum(len(found["partitions"]) for found in admin.describe_topics() if found["name"] == topic)


def create_topic(config: KafkaConfig, topic: str, partitions: int) -> None:
    """Ask the broker for ``topic``; nothing happens if it exists."""
    if topic_partitions(config, topic):
        return
    timeout_ms = int(config.broker_timeout * 1000)
    with closing(open_client(KafkaAdminClient, config, {}, {})) as admin, user_errors(config):
        try:
            admin.create_topics({topic: {"num_partitions": partitions}}, timeout_ms=timeout_ms)
        except kafka_errors.TopicAlreadyExistsError:
            logger.debug("topic %s exists", topic)


def _message(record: Any) -> Message:
    headers = {key: value or b"" for key, value in record.headers}
    return Message(record.partition, record.offset, record.timestamp, headers, record.value or b"")


def _partition_of(error: kafka_errors.KafkaError) -> int:
    """The partition an error about a lost position names."""
    positions = getattr(error, "divergent_offsets", None) or error.args[0]
    return int(next(iter(positions)).partition)
