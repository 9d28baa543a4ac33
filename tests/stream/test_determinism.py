"""The same batches to the bit, whatever the timing: with ``max_wait`` 0 they are a function of positions."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Callable, List, Optional

import pytest

from mindspore_rec.stream.batches import StreamBatches
from mindspore_rec.stream.brokers import Broker
from mindspore_rec.stream.interleave import Batch
from tests.stream.fault_topics import Topic, consumer_of, trainer_of
from tests.stream.free_ports import free_ports

pytestmark = pytest.mark.kafka
SIZES = {0: 3000, 1: 1230, 2: 2110}


def digest(batch: Batch) -> str:
    """Ids, weights, labels, source rows, the position after the batch, rejects."""
    parts = [*batch.columns, batch.info.source_rows]
    found = hashlib.sha256(b"".join(part.tobytes() for part in parts))
    found.update(batch.info.position.to_json().encode())
    found.update(b"%d %d" % (batch.info.rows, batch.info.rejected))
    return found.hexdigest()


@pytest.fixture
def clicks(broker: Broker, topic: str, tmp_path: Path) -> Topic:
    made = Topic(broker, topic, "confluent", partitions=3)
    keys = {"port": free_ports(4), "dense_dim": 1, "slot_dim": 1, "window_size": 50}
    made.config = made.config.model_copy(update={**keys, "dead_letter_file": str(tmp_path / "rejects.jsonl")})
    return made


def all_of(batches: StreamBatches, each: Optional[Callable[[int], Any]] = None) -> List[str]:
    found = []
    for batch in batches:
        found.append(digest(batch))
        if each is not None:
            each(len(found))
    return found


def test_a_bounded_topic_of_several_partitions(clicks: Topic) -> None:
    for partition, rows in SIZES.items():
        clicks.write(rows, [partition])
    whole = clicks.config.model_copy(update={"until_end": True})
    options = {"batch_size": 97}
    with consumer_of(whole), trainer_of(whole, max_queue_size=50, **options) as batches:
        first = all_of(batches)
    assert len(first) == -(-sum(len(clicks.good(partition)) for partition in SIZES) // 97)

    # The other client, one frame in flight, a fetch of a few messages, and the consumer started anew half way.
    changed = {"kafka_client": "kafka-python", "kafka": {"max_partition_fetch_bytes": 2000}}
    other = whole.model_copy(update=changed)
    with trainer_of(other, max_queue_size=1, **options) as batches:
        with consumer_of(other):
            again = [digest(batch) for batch in (batches.next_batch() for _ in range(len(first) // 2)) if batch]
        with consumer_of(other):
            again += all_of(batches)
    assert again == first


def test_a_trainer_that_starts_again_at_a_position(clicks: Topic) -> None:
    for partition, rows in SIZES.items():
        clicks.write(rows, [partition])
    whole = clicks.config.model_copy(update={"until_end": True})
    with consumer_of(whole), trainer_of(whole, batch_size=97) as batches:
        taken = list(batches)
    with consumer_of(whole), trainer_of(whole, batch_size=97, position=taken[20].info.position) as batches:
        rest = all_of(batches)
    assert rest == [digest(batch) for batch in taken[21:]]


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_topic_that_is_written_while_it_is_read(clicks: Topic, partitions: int) -> None:
    """One partition in a shard, and several: an idle one is waited for."""
    served = range(partitions)
    clicks.write(150, served)  # enough for a first batch; each batch is answered by enough for the next
    limit = {"batch_size": 64, "max_rows": 900 * partitions}
    config = clicks.config.model_copy(update={"num_shards": 3 // partitions})

    def more(count: int) -> None:
        if len(clicks.written[0]) < 1000:
            clicks.write(80 + 7 * (count % 3), served)

    with consumer_of(config), trainer_of(config, **limit) as batches:
        live = all_of(batches, more)
    while len(clicks.written[0]) < 1000:
        more(0)
    with consumer_of(config), trainer_of(config, **limit) as batches:
        assert all_of(batches) == live
    assert len(live) >= 12
