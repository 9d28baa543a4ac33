"""The rows of a part as a data set of batches, for `RecModel.online_train` and for prediction."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List, Optional, Tuple

import numpy as np

from mindspore_rec.data.part_reader import ReadRows, no_rows
from mindspore_rec.data.slot_rows import SlotRows, concatenate_rows, slice_rows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.embedding.bags import Bags

Columns = Tuple[Any, ...]
"""Bags of the sparse slots, float32 [n, numbers] where there are dense ones, and labels, float32 [n, 1]."""


@dataclass(frozen=True)
class PartInfo:
    """What is known of a batch besides its rows, as of `StreamingDataset`'s.

    Attributes:
        rejected: rows refused since the batch before.
        origins: int64[n, 2] of its rows, as of `SlotRows`.
        position: none: where a run goes on is a pass, not a row.
        event_time_max: in milliseconds since 1970; -1: the time is the model's clock.
    """

    rejected: int
    origins: Optional[np.ndarray] = None
    position: None = None
    event_time_max: int = -1


class PartDataset:
    """Batches of the rows that `read` yields, all of `batch_size` rows but the last.

    Args:
        read: makes the chunks of rows, each time the data set is read.
        schema: of the rows.
        batch_size: rows in a batch.
        ends: asked before each batch, whether to end there.

    Attributes:
        stopped: whether it ended, or is to end, before its last batch.
        ended: whether every batch was handed out, and then the next one asked for.
    """

    def __init__(
        self,
        read: Callable[[], Iterator[ReadRows]],
        schema: SlotSchema,
        batch_size: int,
        ends: Callable[[], bool] = lambda: False,
    ) -> None:
        self.batch_size = batch_size
        self._read, self._schema, self._ends = read, schema, ends
        self._infos: List[PartInfo] = []
        self.stopped = self.ended = False
        self.final_info: Optional[PartInfo] = None

    def get_dataset_size(self) -> int:
        """Unknown before it was read: as of a stream."""
        return sys.maxsize

    def stop(self) -> None:
        """End after the batch that is being read."""
        self.stopped = True

    def create_tuple_iterator(self, **options: Any) -> Iterator[Columns]:
        """The batches."""
        self.final_info, self.ended = None, False
        for rows, rejected in batches(self._read(), self.batch_size):
            self.stopped |= self._ends()
            if self.stopped:
                return
            if not len(rows):
                self.final_info = PartInfo(rejected)
                break
            self._infos.append(PartInfo(rejected, rows.origins))
            yield columns_of(rows)
        self.ended = True

    def next_info(self) -> PartInfo:
        """Of the next batch that was not asked for."""
        return self._infos.pop(0)

    def empty_batch(self) -> Columns:
        """A batch without rows, for a rank whose rows have ended while others go on."""
        return columns_of(no_rows(self._schema))


def columns_of(rows: SlotRows) -> Columns:
    """The columns of a batch."""
    bags = Bags(rows.num_slots, rows.ids, rows.offsets, rows.weights)
    dense = (rows.dense,) if rows.dense.shape[1] else ()
    return (bags, *dense, rows.labels)


def batches(chunks: Iterator[ReadRows], size: int) -> Iterator[ReadRows]:
    """The rows of all chunks, `size` at a time; the last one has fewer, or none where it only has rejects."""
    left: List[SlotRows] = []
    count = rejected = 0
    for chunk, refused in chunks:
        rejected += refused
        begin = 0
        while count + len(chunk) - begin >= size:
            end = begin + size - count
            yield ReadRows(concatenate_rows([*left, slice_rows(chunk, begin, end)]), rejected)
            left, count, rejected, begin = [], 0, 0, end
        if begin < len(chunk):
            left.append(slice_rows(chunk, begin, len(chunk)))
            count += len(chunk) - begin
    if left:
        yield ReadRows(concatenate_rows(left), rejected)
    elif rejected:
        yield ReadRows(slice_rows(chunk, 0, 0), rejected)
