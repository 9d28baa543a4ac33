"""What the clients of kafka-python share: how they are opened, and how their errors are told."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import Any, Iterator, Mapping

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import errors as kafka_errors

from mindspore_rec.config import ConfigError, KafkaConfig
from mindspore_rec.stream.kafka import BrokerUnreachable, ClientFailed, merge_settings, refuse_unknown

_CLIENTS = (KafkaConsumer, KafkaProducer, KafkaAdminClient)


def open_client(
    client: Any, config: KafkaConfig, defaults: Mapping[str, Any], fixed: Mapping[str, Any], **forced: Any
) -> Any:
    """A connected client. Settings of the user's map that only its sibling clients know are left out."""
    refuse_unknown(config.kafka, {key for known in _CLIENTS for key in known.DEFAULT_CONFIG})
    _quiet()
    common = {
        "bootstrap_servers": config.bootstrap_servers.split(","),
        "bootstrap_timeout_ms": int(config.broker_timeout * 1000),
        "reconnect_backoff_max_ms": 1000,
    }
    settings = {**merge_settings(config, {**common, **defaults}, fixed), **forced}
    settings = {key: value for key, value in settings.items() if key in client.DEFAULT_CONFIG}
    try:
        with user_errors(config):
            return client(**settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"kafka: {error}") from None


@contextmanager
def user_errors(config: KafkaConfig) -> Iterator[None]:
    """Turn the client's errors into ours."""
    try:
        yield
    except kafka_errors.KafkaConfigurationError as error:
        raise ConfigError(f"kafka: {error}") from None
    except kafka_errors.RetriableError:
        raise BrokerUnreachable(config.bootstrap_servers, config.broker_timeout) from None
    except kafka_errors.KafkaError as error:
        raise ClientFailed(f"Kafka: {error}") from None


def _quiet() -> None:
    """Keep the library from logging every single retry, thousands a second, unless its level was chosen."""
    for name in ("kafka.net", "kafka.cluster", "kafka.consumer.fetcher", "kafka.producer"):
        log = logging.getLogger(name)
        if log.level == logging.NOTSET:
            log.setLevel(logging.CRITICAL)
