"""Reading and writing one Kafka topic: a small source and sink interface with two client libraries behind it.

A source is told where to read with ``assign`` and never asks the broker for a group's offsets: positions belong to the
checkpoint. It refuses to skip: a position the log does not hold any more (or not yet) is an ``OffsetOutOfRange``.
Sources and sinks belong to the thread that uses them.
"""

# ruff: noqa: N818 - the errors are named by what went wrong

from __future__ import annotations

import difflib
import logging
import time
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Protocol, Tuple

from mindspore_rec.config import ConfigError, KafkaConfig, UserError
from mindspore_rec.stream.messages import Message
from mindspore_rec.stream.presence import BrokerPresence

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 64 << 20
"""Largest message a sink hands to the client; the broker's own ``message.max.bytes`` may be smaller."""
MAX_QUEUED_BYTES = 64 << 20
"""Bytes a sink holds unacknowledged before ``send`` blocks."""
DELIVERY_TIMEOUT = 300.0
"""Seconds a sink keeps trying to deliver a message, so that a broker may restart meanwhile."""
START_HINT = "start one with `bash scripts/start_kafka.sh` or `bash scripts/start_broker.sh`"


class BrokerUnreachable(UserError, ConnectionError):
    """No broker answered in time."""

    def __init__(self, servers: str, timeout: float, reason: str = "") -> None:
        why = f" ({reason})" if reason else ""
        super().__init__(f"no Kafka broker answers at {servers} within {timeout:g} s{why}; {START_HINT}")


class TopicMissing(UserError, LookupError):
    """The topic does not exist."""

    def __init__(self, topic: str, servers: str) -> None:
        super().__init__(f"topic {topic!r} does not exist at {servers}; producer.py creates it")


class OffsetOutOfRange(UserError, LookupError):
    """The log does not hold the position to read from: retention removed it, or the broker lost its tail.

    Attributes:
        partition, offset: the position wanted.
        low, high: the range the partition holds: its first offset and the next one to be written.
    """

    def __init__(self, topic: str, partition: int, offset: int, low: int, high: int) -> None:
        self.partition, self.offset, self.low, self.high = partition, offset, low, high
        cause = "older messages were removed" if offset < low else "the broker lost newer ones"
        if low <= offset <= high:
            cause = "it was shorter a moment ago: the broker lost newer ones"
        super().__init__(
            f"topic {topic!r} partition {partition}: offset {offset} is not in the log, which holds {low} to {high} "
            f"({cause})"
        )


class TopicRecreated(UserError, LookupError):
    """The topic of this name is another one than before: its offsets mean other messages."""

    def __init__(self, topic: str, before: str, now: str) -> None:
        super().__init__(
            f"topic {topic!r} was deleted and created anew: its id is {now}, the positions are of {before}; "
            "choose another --topic, or start anew with --resume none"
        )


class DeliveryFailed(UserError):
    """The broker did not take a message that was sent."""


class NotAcknowledged(DeliveryFailed):
    """The broker has not taken everything in time; what is under way may still arrive."""

    def __init__(self, topic: str, messages: int, timeout: float) -> None:
        super().__init__(f"topic {topic!r}: {messages} messages are not acknowledged after {timeout:g} s")


class MessageTooLarge(DeliveryFailed):
    """A message is larger than the topic takes."""

    def __init__(self, topic: str, size: int) -> None:
        super().__init__(
            f"topic {topic!r}: a message of {size} bytes is larger than the topic takes (max.message.bytes, or the "
            "broker's message.max.bytes); raise that, or send smaller blocks with --block_rows"
        )


class ClientFailed(UserError):
    """The client library gave up: no permission, a setting refused, a protocol error."""


class TopicState(NamedTuple):
    """What a broker says of a topic.

    Attributes:
        topic_id: tells the topic from a later one of the same name; empty where the broker has no ids.
        partitions: their numbers, ascending.
    """

    topic_id: str
    partitions: List[int]


class Source(Protocol):
    """Reads one topic from given positions."""

    def describe(self, timeout: Optional[float] = None) -> TopicState:
        """The topic as it is now: partitions may be added, and a topic deleted and created anew.

        Raises ``TopicMissing``, or ``BrokerUnreachable`` after ``timeout`` seconds (default: ``broker_timeout``).
        """

    def watermarks(self, partition: int) -> Tuple[int, int]:
        """(first offset held, next offset to be written), asked from the broker."""

    def offset_at_time(self, partition: int, timestamp_ms: int) -> int:
        """Offset of the first message stamped at or after ``timestamp_ms``; the end of the log where there is none."""

    def assign(self, positions: Mapping[int, int]) -> None:
        """Read these partitions, each from its offset, and no others; nothing is paused. Replaces earlier positions.

        Raises ``OffsetOutOfRange`` for an offset outside of the watermarks; what was assigned before stays then.
        """

    def poll(self, max_messages: int, timeout: float) -> List[Message]:
        """Up to ``max_messages`` messages as soon as there is one; none after ``timeout`` seconds.

        Messages of a partition come in ascending order. While the broker is away there are none: the client goes on
        trying. Raises ``OffsetOutOfRange`` when the position is lost. That the topic was deleted, ``describe`` tells.
        """

    def pause(self, partitions: Iterable[int]) -> None:
        """No more messages of these partitions until ``resume``; none of them is lost."""

    def resume(self, partitions: Iterable[int]) -> None:
        """Go on with paused partitions."""

    def commit(self, positions: Mapping[int, int]) -> None:
        """Show these positions as the group's offsets, for lag displays only. Best effort, does not wait."""

    def close(self) -> None:
        """Leave the broker. A second call does nothing."""


class Sink(Protocol):
    """Writes one topic: idempotent, acknowledged by all replicas, lz4."""

    def send(
        self,
        value: bytes,
        *,
        partition: Optional[int] = None,
        key: Optional[bytes] = None,
        headers: Optional[Mapping[str, bytes]] = None,
        timestamp_ms: Optional[int] = None,
    ) -> None:
        """Queue a message; blocks while the queue is full. Without a partition the client chooses by the key.

        Raises ``DeliveryFailed`` when this or an earlier message could not be delivered; ``MessageTooLarge`` is one.
        """

    def flush(self, timeout: float) -> None:
        """Wait until everything sent is acknowledged.

        Raises ``NotAcknowledged`` where it is not after ``timeout`` seconds, ``DeliveryFailed`` where it never will be.
        """

    def close(self) -> None:
        """Leave the broker without waiting for unacknowledged messages: ``flush`` first. A second call does nothing."""


class Client(Protocol):
    """What the module of a client library offers; the functions below choose the module and the topic."""

    def open_source(self, config: KafkaConfig, topic: str) -> Source: ...

    def open_sink(self, config: KafkaConfig, topic: str) -> Sink: ...

    def topic_partitions(self, config: KafkaConfig, topic: str) -> int: ...

    def create_topic(self, config: KafkaConfig, topic: str, partitions: int) -> None: ...


def _client(config: KafkaConfig) -> Client:
    if config.kafka_client == "confluent":
        from mindspore_rec.stream import kafka_confluent

        return kafka_confluent
    from mindspore_rec.stream import kafka_python

    return kafka_python


def open_source(config: KafkaConfig, topic: Optional[str] = None) -> Source:
    """A source on ``topic`` (default: the configured one).

    Raises ``BrokerUnreachable`` or ``TopicMissing``; ``wait_for_topic`` waits for a topic not yet created.
    """
    return _client(config).open_source(config, topic or config.topic)


def open_sink(config: KafkaConfig, topic: Optional[str] = None) -> Sink:
    """A sink on ``topic`` (default: the configured one), which must exist: ``create_topic``.

    Raises ``BrokerUnreachable`` or ``TopicMissing``.
    """
    return _client(config).open_sink(config, topic or config.topic)


def topic_partitions(config: KafkaConfig, topic: Optional[str] = None) -> int:
    """Number of partitions of ``topic`` (default: the configured one); 0 where it does not exist.

    Raises ``BrokerUnreachable``.
    """
    return _client(config).topic_partitions(config, topic or config.topic)


def create_topic(config: KafkaConfig, topic: Optional[str], partitions: int) -> int:
    """Create ``topic`` (None: the configured one) unless it exists; returns the partitions it has.

    Waits until the broker lists it. Raises ``BrokerUnreachable``, or ``ClientFailed`` when the broker refuses.
    """
    name = topic or config.topic
    _client(config).create_topic(config, name, partitions)
    deadline = time.monotonic() + config.broker_timeout
    while not (existing := topic_partitions(config, name)):
        if time.monotonic() > deadline:
            raise ClientFailed(f"topic {name!r} was created, but the broker does not list it")
        time.sleep(0.05)
    if existing != partitions:
        logger.warning("topic %s exists with %d partitions, not %d", name, existing, partitions)
    return existing


def wait_for_topic(
    config: KafkaConfig, topic: Optional[str], stop: Callable[[], bool], first_pause: float = 0.2, pause: float = 2.0
) -> bool:
    """Wait until ``topic`` (None: the configured one) exists: True; or until ``stop()`` says so: False.

    Looks again after a pause that doubles from ``first_pause`` to ``pause`` seconds, and logs once that it waits.
    Raises ``BrokerUnreachable`` where the broker does not answer the first time; later it is waited for as well.
    """
    name = topic or config.topic
    wait = first_pause
    logged = False
    presence = BrokerPresence(config.bootstrap_servers)
    while not stop():
        try:
            if topic_partitions(config, name):
                presence.answered()
                return True
            presence.answered()
        except BrokerUnreachable:
            if not logged:
                raise
            presence.silent()
        if not logged:
            logger.warning("waiting for topic %s at %s: nothing has created it yet", name, config.bootstrap_servers)
            logged = True
        until = time.monotonic() + wait
        while not stop() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        wait = min(2 * wait, pause)
    return False


def merge_settings(config: KafkaConfig, defaults: Mapping[str, Any], fixed: Mapping[str, Any]) -> Dict[str, Any]:
    """The client's settings: ours, over them the user's ``kafka`` map, over both those that correctness rests on.

    Raises ConfigError where the map sets one of the ``fixed`` to another value.
    """
    for key, value in fixed.items():
        if key in config.kafka and config.kafka[key] != value:
            raise ConfigError(f"kafka: {key!r} is set by this program to {value!r} and cannot be changed")
    return {**defaults, **config.kafka, **fixed}


def refuse_unknown(settings: Iterable[str], known: Iterable[str]) -> None:
    """ConfigError that names the first of ``settings`` that is not ``known``, and the nearest that is."""
    names = sorted(known)
    for key in settings:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"kafka: the client knows no setting {key!r}{hint}")
