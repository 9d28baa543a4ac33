"""MindRecord files of ready rows: written block by block, read again as batches of any size.

A sample is a block of rows: id int64[n, F], weight float32[n, F], label float32[n, 1]; all blocks of a file but the
last have as many rows. ``mindspore.dataset.MindDataset(files, ["id", "weight", "label"])`` reads blocks (without the
list of columns MindSpore orders them by name, the label in the middle); ``mindrecord_dataset`` reads batches.
"""

from __future__ import annotations

from pathlib import Path
from typing import Tuple

import numpy as np
from mindspore.mindrecord import FileWriter

from mindspore_rec.data.part_files import Block

COLUMNS = ("id", "weight", "label")


class MindRecordFile:
    """A MindRecord file being written, a sample a block; ``<path>.db`` is its index.

    Both may be moved to another folder together.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.discard()  # FileWriter refuses to replace files, or warns about it
        self._writer = FileWriter(str(path))
        self._has_schema = False

    def put(self, block: Block) -> None:
        """Write a sample."""
        if not self._has_schema:
            shapes = [[-1, *column.shape[1:]] for column in block]
            types = [{"type": column.dtype.name, "shape": shape} for column, shape in zip(block, shapes)]
            self._writer.add_schema(dict(zip(COLUMNS, types)), "blocks of rows: ids, weights, labels")
            self._has_schema = True
        sample = {name: np.ascontiguousarray(column) for name, column in zip(COLUMNS, block)}
        self._writer.write_raw_data([sample])

    def close(self) -> None:
        """Write the index."""
        self._writer.commit()
        for path in files_of(self._path):
            path.chmod(path.parent.stat().st_mode & 0o666)  # MindSpore lets only the owner read them

    def discard(self) -> None:
        """Stop writing and remove both files."""
        for path in files_of(self._path):
            path.unlink(missing_ok=True)


def files_of(path: Path) -> Tuple[Path, Path]:
    """A MindRecord file and its index."""
    return path, path.with_name(path.name + ".db")
