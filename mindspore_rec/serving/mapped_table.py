"""Rows of an exported table, in files that are mapped to memory, found by binary search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Sequence, Tuple

import numpy as np

from mindspore_rec.checkpoint.array_file import ArrayFile
from mindspore_rec.checkpoint.mapped_arrays import map_arrays
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.serving.manifest import ExportError, FileOf

_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class MappedTable:
    """The shares of a table, each ids int64[r], ascending as unsigned numbers, and weights float32[r, dim].

    >>> table = MappedTable(2, ((np.array([3, 7]), np.ones((2, 2), np.float32)),))
    >>> table.lookup(np.array([7, 8])).tolist(), len(table)
    ([[1.0, 1.0], [0.0, 0.0]], 2)
    """

    dim: int
    shares: Tuple[Tuple[np.ndarray, np.ndarray], ...]

    def __len__(self) -> int:
        return sum(ids.size for ids, _ in self.shares)

    def lookup(self, ids: np.ndarray) -> np.ndarray:
        """Return float32[n, dim], the rows of int64[n] ids; zeros for ids without one."""
        found = np.zeros((ids.size, self.dim), np.float32)
        for own, weights in self.shares:
            if own.size:
                places = np.minimum(np.searchsorted(own.view(np.uint64), ids.view(np.uint64)), own.size - 1)
                there = own[places] == ids
                found[there] = weights[places[there]]
        return found


def write_rows(path: Path, rows: TableRows) -> FileOf:
    """Write ids and weights to a new file.

    Raises:
        ValueError: ids are not ascending.
        ExportError: a weight is not finite.
        OSError: it cannot be written.
    """
    unsigned = rows.ids.view(np.uint64)
    if (unsigned[1:] <= unsigned[:-1]).any():
        raise ValueError(f"{path.name}: ids must be ascending as unsigned numbers, each once")
    content = {"ids": rows.ids, "weights": rows.weights}
    with ArrayFile(path, {name: (array.dtype, array.shape) for name, array in content.items()}) as file:
        for begin in range(0, len(rows), _ROWS_AT_ONCE):
            for name, array in content.items():
                part = array[begin : begin + _ROWS_AT_ONCE]
                if array.dtype.kind == "f" and not np.isfinite(part).all():
                    raise ExportError(f"{path.name}: a weight is not finite: nothing was exported")
                file.append(name, part)
    return FileOf(size=file.size, crc32c=file.checksum)


def map_table(paths: Sequence[Path], dim: int) -> MappedTable:
    """Open what `write_rows` wrote, a file for each share.

    Raises:
        CheckpointError: one cannot be read.
        ExportError: one is of another table.
    """
    shares = []
    for path in paths:
        arrays = map_arrays(path)
        ids, weights = arrays.get("ids"), arrays.get("weights")
        if ids is None or weights is None or ids.dtype != np.int64 or weights.dtype != np.float32:
            raise ExportError(f"{path}: expected int64 ids and float32 weights")
        if ids.ndim != 1 or weights.shape != (ids.size, dim):
            raise ExportError(f"{path}: weights are {list(weights.shape)}, expected [{ids.size}, {dim}]")
        shares.append((ids, weights))
    return MappedTable(dim, tuple(shares))
