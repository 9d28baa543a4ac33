"""What a rank of a job trains on: its shard of the stream, or nothing where it only owns tables."""

from __future__ import annotations

import sys
from typing import Any, Iterator, Tuple, Union

import numpy as np
from mindspore import Tensor

from mindspore_rec.config import TrainConfig
from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.stream.channel import DataReceiver
from mindspore_rec.stream.dataset import StreamingDataset
from mindspore_rec.train.progress import TrainingProgress


class NoRows:
    """The data set of a rank that reads no shard: it ends at once, and takes part with batches without rows.

    Args:
        columns: of such a batch.
        batch_size: rows that the other ranks' batches have.
    """

    def __init__(self, columns: Tuple[np.ndarray, ...], batch_size: int) -> None:
        self.batch_size = batch_size
        self._columns = columns

    def get_dataset_size(self) -> int:
        """As of a stream without an end."""
        return sys.maxsize

    def create_tuple_iterator(self, **options: Any) -> Iterator[Tuple[Tensor, ...]]:
        """No batches."""
        return iter(())

    def empty_batch(self) -> Tuple[Tensor, ...]:
        """A batch without rows."""
        return tuple(Tensor(column) for column in self._columns)

    def close(self) -> None:
        """Nothing is open."""


def shard_dataset(
    config: TrainConfig, exchange: Exchange, workers: int, progress: TrainingProgress
) -> Union[StreamingDataset, NoRows]:
    """Open the shard of a rank.

    Args:
        exchange: its rank is the number of the shard.
        workers: ranks that read one.
        progress: where the stream goes on, and rows that were seen.
    """
    fields = config.num_fields
    idle = (np.zeros((0, fields), np.int64), np.zeros((0, fields), np.float32), np.zeros((0, 1), np.float32))
    if exchange.rank >= workers:
        return NoRows(idle, config.batch_size)
    alone = exchange.size == 1
    receiver = DataReceiver(
        config.address,
        config.namespace,
        exchange.rank,
        config.dataset_name,
        port=config.port,
        num_shards=config.num_shards if alone else workers,
        num_consumers=config.num_consumers,
        max_queue_size=config.max_queue_size,
        channel_keys=config.channel_keys,
    )
    return StreamingDataset(
        receiver,
        config.batch_size,
        max_wait=config.max_wait,
        position=progress.position,
        start=config.start,
        max_rows=config.max_rows if alone else 0,
        idle_batch=None if alone else idle,
    )
