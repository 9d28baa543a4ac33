"""The rows of a pass, as they are predicted and as they are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, List, Optional

import numpy as np

from mindspore_rec.data.part_folder import PartFile
from mindspore_rec.data.part_reader import PartReader, ReadRows
from mindspore_rec.data.slot_rows import take_rows
from mindspore_rec.stream.pass_schedule import PassKey
from mindspore_rec.stream.ready_parts import Part

_ROWS_AT_ONCE = 4096  # that are shuffled into a chunk


@dataclass(frozen=True)
class LoadedPart:
    """A pass whose files are known; its rows are in memory where they are to be shuffled.

    Attributes:
        part: its key and its folders.
        files: those with rows.
        rows: this rank's share of the rows; None where they are read from the files each time.
    """

    part: Part
    files: List[PartFile]
    rows: Optional[ReadRows] = None

    @property
    def key(self) -> PassKey:
        """Day and pass."""
        return self.part.key

    @property
    def row_count(self) -> Optional[int]:
        """Rows of this rank, None where they are not known before they are read."""
        return None if self.rows is None else len(self.rows.rows)

    def in_order(self, reader: PartReader) -> Iterator[ReadRows]:
        """The rows in the order of the files."""
        return reader.read(self.files) if self.rows is None else iter([self.rows])

    def shuffled(self, reader: PartReader, rng: np.random.Generator) -> Iterator[ReadRows]:
        """The rows as they are trained: in an order drawn where they are in memory."""
        if self.rows is None:
            yield from reader.read(self.files)
            return
        yield from shuffled_rows(self.rows, rng)


def shuffled_rows(loaded: ReadRows, rng: np.random.Generator) -> Iterator[ReadRows]:
    """Rows in an order drawn, some at a time; what was rejected among them comes with the first."""
    rows, rejected = loaded
    order = rng.permutation(len(rows))
    for begin in range(0, len(rows), _ROWS_AT_ONCE):
        yield ReadRows(take_rows(rows, order[begin : begin + _ROWS_AT_ONCE]), rejected if not begin else 0)
    if not len(rows):
        yield loaded
