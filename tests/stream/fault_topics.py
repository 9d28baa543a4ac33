"""A topic with numbered rows on a broker that is ours alone, a consumer of it, and the ways to damage the topic."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from mindspore_rec.config import ConsumerConfig, UserError
from mindspore_rec.stream.batches import StreamBatches
from mindspore_rec.stream.brokers import Broker
from mindspore_rec.stream.channel import DataReceiver
from mindspore_rec.stream.consumer import Consumer
from mindspore_rec.stream.interleave import Batch
from mindspore_rec.stream.kafka import Source, create_topic, open_sink, topic_partitions
from tests.stream.memory_source import messages_of

DEADLINE = 60.0
APART = 1_000_000
"""Row numbers of partition p begin at p times this."""
BAD_EVERY = 11


class Topic:
    """A topic; ``written`` are the row numbers of each partition, bad ones among them.

    Rows are in blocks of ten. Row numbers go on where they were, also in a topic created anew.
    """

    def __init__(self, broker: Broker, name: str, client: str, partitions: int = 2) -> None:
        self.broker, self.name = broker, name
        self.config = ConsumerConfig(
            bootstrap_servers=broker.bootstrap_servers, kafka_client=client, topic=name, broker_timeout=30.0
        )
        self.written: Dict[int, List[int]] = {}
        self.admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
        if partitions:
            create_topic(self.config, name, partitions)

    def write(self, rows: int, partitions: Iterable[int] = (0, 1)) -> None:
        """Append so many rows to each of the partitions."""
        with contextlib.closing(open_sink(self.config)) as sink:
            for partition in partitions:
                mine = self.written.setdefault(partition, [])
                first = mine[-1] + 1 if mine else partition * APART
                numbers = range(first, first + rows)
                for message in messages_of(partition, numbers, "block", 10, BAD_EVERY):
                    sink.send(message.value, partition=partition, headers=message.headers)
                mine += numbers
            sink.flush(DEADLINE)

    def good(self, partition: int) -> List[int]:
        """The rows of a partition that are no rejects."""
        return [number for number in self.written[partition] if number % BAD_EVERY]

    def remove_before(self, partition: int, offset: int) -> None:
        """Delete the head of a partition, as retention does."""
        for future in self.admin.delete_records([TopicPartition(self.name, partition, offset)]).values():
            future.result()

    def add_partitions(self, count: int) -> None:
        self.admin.create_partitions([NewPartitions(self.name, count)])[self.name].result()
        wait_until(lambda: topic_partitions(self.config) == count)

    def delete(self) -> None:
        self.admin.delete_topics([self.name])[self.name].result()
        wait_until(lambda: topic_partitions(self.config) == 0)

    def recreate(self, rows: int) -> None:
        """Delete the topic and create it with so many rows a partition."""
        self.delete()
        create_topic(self.config, self.name, 2)
        self.write(rows)


class RunningConsumer:
    """A consumer in a thread, with a source of its own where none is given."""

    def __init__(self, config: ConsumerConfig, source: Optional[Source] = None) -> None:
        self.error: Optional[UserError] = None
        self.stop = threading.Event()
        self._consumer = Consumer(config, source=source)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._consumer.run(self.stop)
        except UserError as error:
            self.error = error

    def join(self) -> None:
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()


@contextlib.contextmanager
def consumer_of(config: ConsumerConfig, source: Optional[Source] = None) -> Iterator[RunningConsumer]:
    running = RunningConsumer(config, source)
    try:
        yield running
    finally:
        running.stop.set()
        running.join()


@contextlib.contextmanager
def trainer_of(config: ConsumerConfig, **options: Any) -> Iterator[StreamBatches]:
    """Batches as a trainer takes them."""
    receiver = DataReceiver(
        config.address,
        config.namespace,
        0,
        config.dataset_name,
        num_shards=config.num_shards,
        port=config.port,
        max_queue_size=options.pop("max_queue_size", 3),
    )
    batches = StreamBatches(receiver, options.pop("batch_size", 32), **options)
    try:
        yield batches
    finally:
        batches.close()


def take(batches: StreamBatches, rows: int) -> List[Batch]:
    """Batches with at least so many rows; what fails, fails by the suite's timeout or an error of the channel."""
    found: List[Batch] = []
    while sum(batch.info.rows for batch in found) < rows:
        batch = batches.next_batch()
        assert batch is not None, "the stream ended"
        found.append(batch)
    return found


def by_partition(batches: Iterable[Batch]) -> Mapping[int, List[int]]:
    """Row numbers of each partition, in the order they came."""
    rows = [row for batch in batches for row in batch.info.source_rows.tolist()]
    return {partition: [row for row in rows if row // APART == partition] for partition in {r // APART for r in rows}}


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # a poll with a deadline
