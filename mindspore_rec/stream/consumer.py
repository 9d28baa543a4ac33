"""The consumer: Kafka messages to frames of ids and weights, for the trainers that ask for them.

It keeps no state of its own. A trainer says where each partition continues, the consumer seeks there and sends as many
frames as were granted; then it stops fetching that partition. It may be killed and started at any time.
"""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack, closing
from types import FrameType
from typing import Optional

from mindspore_rec.config import ConfigError, ConsumerConfig
from mindspore_rec.features.engine import FeatureEngine, make_engine
from mindspore_rec.stream.channel import DataSender
from mindspore_rec.stream.dead_letter import open_dead_letters
from mindspore_rec.stream.kafka import Source, open_source, wait_for_topic
from mindspore_rec.stream.shard_server import ShardServer


class Consumer:
    """Reads a topic and serves the trainers of its shards.

    Args:
        config: topic, features, channel, and which consumer this is.
        source: the topic; opened by ``run`` where none is given, and then waited for.
        engine: rows to ids and weights; made from the configuration where none is given.

    Raises:
        ConfigError: ``consumer_index`` out of range.
    """

    def __init__(
        self, config: ConsumerConfig, *, source: Optional[Source] = None, engine: Optional[FeatureEngine] = None
    ) -> None:
        if config.consumer_index >= config.num_consumers:
            raise ConfigError(
                f"consumer_index: {config.consumer_index}, expected less than num_consumers, {config.num_consumers}"
            )
        self._config = config
        self._source = source
        self._engine = engine

    def run(self, stop: threading.Event) -> None:
        """Serve until ``stop`` is set, or with ``until_end`` until every trainer has received everything and stopped.

        Raises:
            UserError: a broker that does not answer, a position that is gone, a channel set up differently.
        """
        config = self._config
        with ExitStack() as stack:
            try:
                engine = self._engine or make_engine(config)
                sender = stack.enter_context(closing(_open_sender(config)))
            except ValueError as error:  # about features, or the port
                raise ConfigError(str(error)) from error
            if self._source is None and not wait_for_topic(config, None, stop.is_set):
                return
            source = self._source or stack.enter_context(closing(open_source(config)))
            rejects = stack.enter_context(open_dead_letters(config, config.dead_letter_file))
            ShardServer(config, source, engine, sender, rejects).run(stop)


def _open_sender(config: ConsumerConfig) -> DataSender:
    return DataSender(
        config.address,
        config.namespace,
        config.num_shards,
        config.dataset_name,
        port=config.port,
        consumer_index=config.consumer_index,
        bind=config.bind,
        channel_keys=config.channel_keys,
    )


def stop_on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = threading.Event()

    def on_signal(number: int, frame: Optional[FrameType]) -> None:
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    return stop
