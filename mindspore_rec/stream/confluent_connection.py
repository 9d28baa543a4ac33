"""What the clients of confluent-kafka share: how they are opened, and how they tell that the broker is away."""

from __future__ import annotations

import uuid
from typing import Any, Dict, Mapping, Optional

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from mindspore_rec.config import ConfigError, KafkaConfig
from mindspore_rec.stream.kafka import BrokerUnreachable, ClientFailed, TopicMissing, TopicState, merge_settings
from mindspore_rec.stream.presence import BrokerPresence

BROKER_AWAY = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT)


class Connection:
    """What clients of one configuration share: their settings, and how they tell that the broker is away."""

    def __init__(self, config: KafkaConfig) -> None:
        self.config = config
        self.reason = ""
        self.presence = BrokerPresence(config.bootstrap_servers)

    def settings(self, defaults: Mapping[str, Any], fixed: Mapping[str, Any]) -> Dict[str, Any]:
        common = {"bootstrap.servers": self.config.bootstrap_servers, "log_level": 2, **defaults}
        return merge_settings(self.config, common, {**fixed, "error_cb": self._on_error})

    def unreachable(self) -> BrokerUnreachable:
        return BrokerUnreachable(self.config.bootstrap_servers, self.config.broker_timeout, self.reason)

    def failed(self, error: KafkaError) -> Exception:
        """The exception for an error of a request."""
        return self.unreachable() if error.code() in BROKER_AWAY else ClientFailed(f"Kafka: {error.str()}")

    def _on_error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.reason = error.str()
        else:
            self.presence.silent()


def open_client(client: Any, settings: Dict[str, Any]) -> Any:
    """A client with these settings. Raises ConfigError that names the one it refuses."""
    try:
        return client(settings)
    except KafkaException as error:
        raise ConfigError(f"kafka: {error.args[0].str()}") from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"kafka: {error}") from None


def list_partitions(client: Any, connection: Connection, topic: str) -> int:
    """Partitions of ``topic``; 0 where it does not exist. All topics are listed: some brokers create one asked for."""
    try:
        metadata = client.list_topics(timeout=connection.config.broker_timeout)
    except KafkaException as error:
        client.poll(0)
        raise connection.failed(error.args[0]) from None
    connection.presence.answered()
    found = metadata.topics.get(topic)
    return 0 if found is None else len(found.partitions)


def describe_topic(
    admin: AdminClient, connection: Connection, topic: str, timeout: Optional[float] = None
) -> TopicState:
    """``topic`` as it is now. Unlike a listing of one topic, this creates none at any broker."""
    limit = connection.config.broker_timeout if timeout is None else timeout
    try:
        found = admin.describe_topics(TopicCollection([topic]), request_timeout=limit)[topic].result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise TopicMissing(topic, connection.config.bootstrap_servers) from None
        raise connection.failed(error.args[0]) from None
    connection.presence.answered()
    high, low = found.topic_id.get_most_significant_bits(), found.topic_id.get_least_significant_bits()
    number = (high % 2**64) << 64 | low % 2**64
    return TopicState(str(uuid.UUID(int=number)) if number else "", sorted(part.id for part in found.partitions))
