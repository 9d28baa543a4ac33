"""A state and what changed since: rows of a base and of its deltas, put together by id."""

from __future__ import annotations

from typing import Dict, List, Mapping

import numpy as np

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.embedding.index import IdIndex
from mindspore_rec.embedding.memory import reserve
from mindspore_rec.embedding.row_arrays import RowArrays
from mindspore_rec.embedding.row_digest import digest
from mindspore_rec.embedding.statistics import STATISTICS

IDS, REMOVED = "ids", "removed"
_BY_ROW = (IDS, "rows", *(STATISTICS.names or ()))


def row_prefixes(arrays: Mapping[str, np.ndarray]) -> List[str]:
    """Return the prefixes under which there are ids with something for each.

    >>> row_prefixes({"ids": np.empty(0), "step": np.empty(1), "waiting.0.ids": np.empty(0)})
    ['', 'waiting.0.']
    """
    return sorted(name[: -len(IDS)] for name in arrays if name == IDS or name.endswith(f".{IDS}"))


def row_columns(arrays: Mapping[str, np.ndarray], prefix: str) -> Arrays:
    """Return what there is by row under a prefix, without the prefix."""
    return {name: arrays[prefix + name] for name in _BY_ROW if prefix + name in arrays}


def row_digests(arrays: Mapping[str, np.ndarray]) -> Dict[str, int]:
    """Return the digest of the rows under each prefix.

    Raises:
        ValueError: columns have different lengths.
    """
    return {prefix: digest_of_columns(row_columns(arrays, prefix)) for prefix in row_prefixes(arrays)}


def digest_of_columns(columns: Arrays) -> int:
    """Return the digest of rows that lie in arrays; see `embedding.row_digest`.

    Raises:
        ValueError: columns have different lengths.
    """
    if len({column.shape[0] for column in columns.values()}) != 1:
        raise ValueError(f"{', '.join(columns)} have different lengths")
    ids, rows = np.ascontiguousarray(columns[IDS]), columns.get("rows")
    records = None
    if "show" in columns:
        records = np.empty(ids.size, STATISTICS)
        for name in STATISTICS.names or ():
            records[name] = columns[name]
    arrays = RowArrays.of(ids, None if rows is None else np.ascontiguousarray(rows), records)
    return digest(arrays.ids, arrays.words, arrays.statistics)


class MergedArrays:
    """The state of a table after a full checkpoint and any number of deltas.

    Args:
        base: the arrays of the full one.
        room: rows of it and all deltas together, at most.

    >>> base = {"ids": np.array([7, 9]), "rows": np.zeros((2, 1), np.float32), "step": np.array([1])}
    >>> merged = MergedArrays(base, room=3)
    >>> change = {"ids": np.array([5]), "rows": np.ones((1, 1), np.float32), "step": np.array([2])}
    >>> merged.apply({**change, "removed": np.array([7])})
    >>> merged.arrays()["ids"].tolist(), merged.arrays()["rows"].tolist(), merged.arrays()["step"].tolist()
    ([5, 9], [[1.0], [0.0]], [2])
    """

    def __init__(self, base: Arrays, room: int) -> None:
        self._rows = {prefix: _MergedRows(row_columns(base, prefix), room) for prefix in row_prefixes(base)}
        self._fixed = self._without_rows(base)

    def apply(self, delta: Arrays) -> None:
        """Go on to the state a delta was taken of.

        Raises:
            ValueError: it has other columns than the base, or an id is there twice.
        """
        if set(row_prefixes(delta)) != self._rows.keys():
            raise ValueError(f"rows are {row_prefixes(delta)}, in the base {sorted(self._rows)}")
        for prefix, rows in self._rows.items():
            rows.apply(row_columns(delta, prefix), delta.get(prefix + REMOVED, np.empty(0, np.int64)))
        self._fixed = self._without_rows(delta)

    def arrays(self) -> Arrays:
        """Return all arrays, as a full checkpoint has them; views of what the next `apply` changes."""
        by_row = {prefix + n: column for prefix, rows in self._rows.items() for n, column in rows.columns().items()}
        return {**self._fixed, **by_row}

    def _without_rows(self, arrays: Arrays) -> Arrays:
        names = {prefix + name for prefix in self._rows for name in (*_BY_ROW, REMOVED)}
        return {name: array for name, array in arrays.items() if name not in names}


class _MergedRows:
    """Rows under one prefix, in arrays with room for `room` of them."""

    def __init__(self, base: Arrays, room: int) -> None:
        width = {name: int(np.prod(column.shape[1:])) if column.ndim > 1 else 0 for name, column in base.items()}
        self._columns = {
            name: reserve(max(room, 1), width[name], column.dtype, huge=False) for name, column in base.items()
        }
        self._index = IdIndex(self._columns[IDS])
        self._put(base)

    def apply(self, columns: Arrays, removed: np.ndarray) -> None:
        self._index.remove(np.ascontiguousarray(removed))
        self._put(columns)

    def columns(self) -> Arrays:
        end, free = self._index.end, self._index.free_rows
        if not free.size:
            return {name: column[:end] for name, column in self._columns.items()}
        in_use = np.ones(end, np.bool_)
        in_use[free] = False
        return {name: column[:end][in_use] for name, column in self._columns.items()}

    def _put(self, columns: Arrays) -> None:
        """Write rows to those that their ids have in the index, new ones where they have none."""
        if columns.keys() != self._columns.keys() or len({column.shape[0] for column in columns.values()}) != 1:
            raise ValueError(f"rows have {sorted(columns)}, not {sorted(self._columns)}, or different lengths")
        for name, column in columns.items():
            own = self._columns[name]
            if column.shape[1:] != own.shape[1:] or column.dtype != own.dtype:
                raise ValueError(
                    f"{name} is {column.dtype}{list(column.shape[1:])}, in the base {own.dtype}{list(own.shape[1:])}"
                )
        ids = np.ascontiguousarray(columns[IDS])
        before, known = self._index.size, self._index.find(ids)
        rows, _ = self._index.find_or_add(ids)
        if self._index.size - before != int((known < 0).sum()):
            raise ValueError("an id is there twice")
        for name, column in columns.items():
            if name != IDS:
                self._columns[name][rows] = column
