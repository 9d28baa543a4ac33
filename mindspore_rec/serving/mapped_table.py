"""Rows of an exported table, in files that are mapped to memory, found by a directory of their ids."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from mindspore_rec.checkpoint.array_file import ArrayFile, Arrays
from mindspore_rec.checkpoint.mapped_arrays import map_arrays
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.serving.id_directory import IdDirectory
from mindspore_rec.serving.manifest import ExportError, FileOf, RowType
from mindspore_rec.serving.row_types import arrays_of, encoded, read_rows

_ROWS_AT_ONCE = 1 << 16


class TableShare(NamedTuple):
    """A share of a table: ids int64[r], ascending as unsigned numbers, and their rows as `encoded` keeps them."""

    ids: np.ndarray
    arrays: Arrays


class MappedTable:
    """The shares of a table, whose rows are numbered through in their order; safe from any thread.

    Args:
        dim: values of a row.
        shares: of which each id is in one. Their ids are read once, for the directory.

    Raises:
        ValueError: the ids of a share are not ascending.

    >>> table = MappedTable(2, (TableShare(np.array([3, 7]), {"weights": np.ones((2, 2), np.float32)}),))
    >>> table.lookup(np.array([7, 8])).tolist(), len(table)
    ([[1.0, 1.0], [0.0, 0.0]], 2)
    """

    def __init__(self, dim: int, shares: Sequence[TableShare]) -> None:
        self.dim = dim
        self.shares = tuple(TableShare(_read_only(ids), _all_read_only(arrays)) for ids, arrays in shares)
        self._parts: List[Tuple[int, IdDirectory, Arrays]] = []
        self._rows = 0
        for ids, arrays in self.shares:
            self._parts.append((self._rows, IdDirectory(ids), arrays))
            self._rows += ids.size
        self.lookup(np.zeros(1, np.int64))  # compiles the kernels now, not for the first who asks

    def __len__(self) -> int:
        return self._rows

    def find(self, ids: np.ndarray) -> np.ndarray:
        """Return int64[n], the row numbers of int64[n] ids; -1 for ids without a row.

        >>> share = TableShare(np.array([3, 7]), {"weights": np.ones((2, 1), np.float32)})
        >>> MappedTable(1, [share, share._replace(ids=np.array([8]))]).find(np.array([7, 8, 9])).tolist()
        [1, 2, -1]
        """
        found = np.full(ids.size, -1, np.int64)
        for base, directory, _ in self._parts:
            directory.find(_read_only(ids), base, found)
        return found

    def read(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Write rows to float32[n, dim]; those of row -1 stay as they are.

        Args:
            rows: int64[n], as of `find`.
            out: what is written to.

        Raises:
            ValueError: `out` has another shape or type.
        """
        if out.shape != (rows.size, self.dim) or out.dtype != np.float32:
            raise ValueError(f"out is {out.dtype} {list(out.shape)}, expected float32 [{rows.size}, {self.dim}]")
        for base, _, arrays in self._parts:
            read_rows(arrays, _read_only(rows), base, out)

    def lookup(self, ids: np.ndarray) -> np.ndarray:
        """Return float32[n, dim], the rows of int64[n] ids; zeros for ids without one."""
        found = np.zeros((ids.size, self.dim), np.float32)
        self.read(self.find(ids), found)
        return found


def write_rows(path: Path, rows: TableRows, row_type: RowType = "float32") -> FileOf:
    """Write ids and weights to a new file.

    Raises:
        ValueError: ids are not ascending.
        ExportError: a weight is not finite, or does not fit the type.
        OSError: it cannot be written.
    """
    unsigned = rows.ids.view(np.uint64)
    if (unsigned[1:] <= unsigned[:-1]).any():
        raise ValueError(f"{path.name}: ids must be ascending as unsigned numbers, each once")
    about = {"ids": (rows.ids.dtype, rows.ids.shape), **arrays_of(row_type, *rows.weights.shape)}
    with ArrayFile(path, about) as file:
        for begin in range(0, len(rows), _ROWS_AT_ONCE):
            end = begin + _ROWS_AT_ONCE
            file.append("ids", rows.ids[begin:end])
            try:
                parts = encoded(rows.weights[begin:end], row_type)
            except ExportError as error:
                raise ExportError(f"{path.name}: {error}") from None
            for name, part in parts.items():
                file.append(name, part)
    return FileOf(size=file.size, crc32c=file.checksum)


def map_table(paths: Sequence[Path], dim: int, row_type: RowType = "float32") -> MappedTable:
    """Open what `write_rows` wrote, a file for each share.

    Raises:
        CheckpointError: one cannot be read.
        ExportError: one is of another table, or its ids are not ascending.
    """
    shares = []
    for path in paths:
        arrays = map_arrays(path)
        ids = arrays.get("ids")
        if ids is None or ids.dtype != np.int64 or ids.ndim != 1:
            raise ExportError(f"{path}: expected int64 ids")
        own: Arrays = {}
        for name, (dtype, shape) in arrays_of(row_type, ids.size, dim).items():
            array = arrays.get(name)
            if array is None or array.dtype != dtype:
                raise ExportError(f"{path}: expected {dtype} {name}")
            if array.shape != shape:
                raise ExportError(f"{path}: {name} are {list(array.shape)}, expected {list(shape)}")
            own[name] = array
        shares.append(TableShare(ids, own))
    try:
        return MappedTable(dim, shares)
    except ValueError as error:
        raise ExportError(f"{', '.join(map(str, paths))}: {error}") from None


def _read_only(array: np.ndarray) -> np.ndarray:
    """A view that nobody writes to: kernels are compiled once, for arrays in memory as for mapped ones."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _all_read_only(arrays: Arrays) -> Arrays:
    return {name: _read_only(array) for name, array in arrays.items()}
