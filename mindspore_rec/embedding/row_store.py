"""Rows of a table: where an id's weights and optimizer slots are kept, and the kernels that read and write them.

A row is `[weights, slot 1, slot 2 ...]` in float32; weights of 16 bits take the room of half as many.
"""

from __future__ import annotations

from typing import Optional, Protocol, Tuple, Union

import numpy as np
from numba import njit

from mindspore_rec.embedding.changes import RowChanges
from mindspore_rec.embedding.halves import FLOAT32, ROW_TYPES, decode, pack, unpack
from mindspore_rec.embedding.index import ENTRY_BYTES, IdIndex
from mindspore_rec.embedding.initial import Initial, fill_initial
from mindspore_rec.embedding.memory import PagesAhead, Scratch, reserve
from mindspore_rec.embedding.optimizers import ApplyRange, Slot, first_values
from mindspore_rec.embedding.ranges import over_ranges
from mindspore_rec.embedding.row_arrays import RowArrays
from mindspore_rec.features.words import prefetch

_CHUNK = 1024  # rows unpacked at a time
_FIND_COST = 8  # in values of a row
_AHEAD = 16  # rows: their cache misses overlap


class SparseOptimizer(Protocol):
    """What a table asks of its optimizer: the slots of a row, and a kernel over row ranges."""

    @property
    def slots(self) -> Tuple[Slot, ...]: ...

    def kernel(
        self, store: np.ndarray, rows: np.ndarray, grads: np.ndarray, step: int, rates: Optional[np.ndarray] = None
    ) -> ApplyRange: ...


class RowStore:
    """An index of ids and their rows, in address space reserved for `max_rows`; growing copies no row.

    Args:
        max_rows: rows there is address space for.
        dim: weights of a row.
        optimizer: whose slots a row has.
        init: first values of the weights.
        seed: of the first values, and of the rounding of weights of 16 bits.
        row_type: "float32", "bfloat16" or "float16", of the weights.
        threads: for the kernels.

    Attributes:
        slots: of a row, in their order.
        ids: int64[max_rows], by row.
        index: from ids to rows.
        changes: is told by whoever changes rows, this class for those that `add` gives out.
    """

    def __init__(
        self, max_rows: int, dim: int, optimizer: SparseOptimizer, init: Initial, seed: int, row_type: str, threads: int
    ) -> None:
        self.dim, self.max_rows, self.slots = dim, max_rows, optimizer.slots
        self._optimizer, self._law, self._seed, self._threads = optimizer, init.law, seed, threads
        self._kind = _kind(row_type)
        self._first = first_values(self.slots, dim)
        self._weight_words = weight_words(dim, row_type)
        self._width = self._weight_words + self._first.size
        self._store = reserve(max_rows, self._width, np.float32)
        self._scratch, self._pages = Scratch(), PagesAhead(self._store)
        self._halves = self._store.view(np.uint16)
        self.ids = reserve(max_rows, 0, np.int64)
        self.index = IdIndex(self.ids)
        self.keep_statistics(None)

    def keep_statistics(self, records: Optional[np.ndarray]) -> None:
        """Have STATISTICS[max_rows], or none, followed together with the rows."""
        arrays = RowArrays.of(self.ids, self._store if self._kind == FLOAT32 else self._halves, records)
        self.changes = RowChanges(arrays, lambda: self.index, self._threads)

    @property
    def last_value(self) -> np.ndarray:
        """float32[max_rows], the last value of the last slot of each row: a view."""
        return self._store[:, -1]

    @property
    def nbytes(self) -> int:
        """Bytes in use, free rows among them."""
        rows = self.index.end
        return rows * (4 * self._width + 8) + self.index.nbytes + self.changes.nbytes(rows)

    def find(self, ids: np.ndarray) -> np.ndarray:
        """Return int32[n], the rows of ids, int64[n]; -1 for those without one."""
        rows = np.empty(ids.size, dtype=np.int32)
        over_ranges(
            lambda begin, end: self.index.find_range(ids, rows, begin, end), ids.size, _FIND_COST, self._threads
        )
        return rows

    def add(self, ids: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Find ids, int64[n] each once, and give the unknown ones a row; return as `IdIndex.find_or_add`."""
        rows = self.find(ids)
        new = np.flatnonzero(rows < 0)
        if not new.size:
            return rows, np.empty(0, np.int32)
        added, _ = self.index.find_or_add(ids[new] if new.size < ids.size else ids)
        rows[new] = added
        self.changes.add(added)
        self._pages.grown_to(self.index.end)
        kind, scale, mean = self._law
        if self._kind == FLOAT32:
            _initialize(self._store, self.ids, added, self.dim, self._first, self._seed, kind, scale, mean)
        else:
            values = np.empty((added.size, self.dim + self._first.size), np.float32)
            every = np.arange(added.size)
            _initialize(values, self.ids[added], every, self.dim, self._first, self._seed, kind, scale, mean)
            self._write(added, values, 0)
        return rows, added

    def gather(self, rows: np.ndarray, inverse: np.ndarray, out: Optional[np.ndarray]) -> np.ndarray:
        """Return float32[n, dim], the weights of `rows[inverse]`; zeros for row -1."""
        weights = self.weights(rows, self._scratch.array(rows.size, self.dim))  # of each id once: stays in the cache
        target = np.empty((inverse.size, self.dim), dtype=np.float32) if out is None else out

        def of_batch(begin: int, end: int) -> None:
            _repeat(weights, inverse, target, begin, end)

        over_ranges(of_batch, inverse.size, self.dim, self._threads)
        return target

    def weights(self, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Write the weights of rows, int32[n], to float32[n, dim] and return it; zeros for row -1."""
        store, halves, bits, kind = self._store, self._halves, out.view(np.uint32), self._kind

        def kernel(begin: int, end: int) -> None:
            if kind == FLOAT32:
                gather_rows(store, rows, out, begin, end)
            else:
                _gather_halves(halves, rows, out, bits, kind, begin, end)

        over_ranges(kernel, rows.size, self.dim, self._threads)
        return out

    def update(self, rows: np.ndarray, sums: np.ndarray, step: int, rates: Optional[np.ndarray]) -> None:
        """Have the optimizer update rows, int32[n] each once, by their summed gradients float32[n, dim]."""
        if self._kind == FLOAT32:
            over_ranges(
                self._optimizer.kernel(self._store, rows, sums, step, rates), rows.size, self._width, self._threads
            )
            return

        def kernel(begin: int, end: int) -> None:
            for first in range(begin, end, _CHUNK):
                part = slice(first, min(first + _CHUNK, end))
                values = self.values(rows[part])
                every = np.arange(len(values), dtype=np.int32)
                factors = None if rates is None else rates[part]
                self._optimizer.kernel(values, every, sums[part], step, factors)(0, len(values))
                self._write(rows[part], values, step)

        over_ranges(kernel, rows.size, self._width, self._threads)

    def values(self, rows: np.ndarray) -> np.ndarray:
        """Return float32[n, dim + slots], copies of rows."""
        if self._kind == FLOAT32:
            copied: np.ndarray = self._store.take(rows, axis=0)  # twice as fast as by an index
            return copied
        values = np.empty((rows.size, self.dim + self._first.size), np.float32)
        unpack(self._halves, rows, self.dim, self._kind, values, values.view(np.uint32))
        values[:, self.dim :] = self._store[rows, self._weight_words :]
        return values

    def rows_in_use(self) -> Union[slice, np.ndarray]:
        """What selects the rows that ids have: a slice, where no row is free."""
        if not self.index.free_rows.size:
            return slice(0, self.index.end)
        in_use = np.ones(self.index.end, dtype=np.bool_)
        in_use[self.index.free_rows] = False
        return np.flatnonzero(in_use)

    def content(self, chosen: Union[slice, np.ndarray]) -> np.ndarray:
        """Return rows as they are stored: float32[r, width], or uint16[r, halves] where weights have 16 bits."""
        return self._store[chosen] if self._kind == FLOAT32 else self._halves[chosen]

    def load(self, ids: np.ndarray, content: np.ndarray) -> None:
        """Replace all rows by those `content` gave.

        Raises:
            ValueError: shape or type is another, there are too many, or an id occurs twice.
        """
        store = self._store if self._kind == FLOAT32 else self._halves
        if content.shape != (ids.size, store.shape[1]) or content.dtype != store.dtype:
            raise ValueError(
                f"table state has rows {content.dtype}{list(content.shape)}, expected {store.dtype}"
                f"{[ids.size, store.shape[1]]}"
            )
        if ids.size > self.max_rows:
            raise ValueError(f"table state has {ids.size} rows, max_rows={self.max_rows}")
        self.changes.stop()
        self.index = IdIndex(self.ids)
        found, _ = self.index.find_or_add(np.ascontiguousarray(ids, dtype=np.int64))
        if self.index.size != ids.size or (found.size and int(found[-1]) != ids.size - 1):
            raise ValueError("table state names an id twice")
        store[: ids.size] = content

    def _write(self, rows: np.ndarray, values: np.ndarray, step: int) -> None:
        pack(self._halves, rows, self.dim, self._kind, values, values.view(np.uint32), self.ids, self._seed, step)
        self._store[rows, self._weight_words :] = values[:, self.dim :]


def repeat_rows(weights: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Return float32[n, dim], `weights[inverse]`, of float32[u, dim] and int32[n]."""
    repeated = np.empty((inverse.size, weights.shape[1]), np.float32)
    _repeat(weights, inverse, repeated, 0, inverse.size)
    return repeated


def weight_words(dim: int, row_type: str) -> int:
    """Float32 words that the weights of a row take.

    >>> weight_words(5, "float32"), weight_words(5, "bfloat16")
    (5, 3)
    """
    return dim if _kind(row_type) == FLOAT32 else (dim + 1) // 2


def bytes_of_row(dim: int, optimizer: SparseOptimizer, row_type: str) -> float:
    """Bytes a row takes, with its id and its entry in the index."""
    return 4 * (weight_words(dim, row_type) + first_values(optimizer.slots, dim).size) + 8 + ENTRY_BYTES


def _kind(row_type: str) -> int:
    if row_type not in ROW_TYPES:
        raise ValueError(f"row_type = {row_type!r}: expected one of {', '.join(ROW_TYPES)}")
    return ROW_TYPES[row_type]


@njit(cache=True, nogil=True)
def _initialize(store, row_ids, rows, dim, first, seed, kind, scale, mean):  # type: ignore[no-untyped-def]
    for k in range(rows.size):
        r = rows[k]
        row = store[r]
        fill_initial(row, dim, seed, row_ids[r], kind, scale, mean)
        for j in range(first.size):
            row[dim + j] = first[j]


@njit(cache=True, nogil=True)
def gather_rows(store, rows, weights, begin, end):  # type: ignore[no-untyped-def]
    """Write the first values of rows to float32[n, dim], from one place to another; zeros for row -1."""
    dim = weights.shape[1]
    flat, width = store.reshape(-1), store.shape[1]
    for k in range(begin, end):
        if k + _AHEAD < end:
            prefetch(flat, np.int64(max(rows[k + _AHEAD], 0)) * width)
        into = weights[k]
        if rows[k] < 0:
            into[:] = np.float32(0.0)
        else:
            row = store[rows[k]][:dim]
            for d in range(dim):
                into[d] = row[d]


@njit(cache=True, nogil=True)
def _gather_halves(halves, rows, weights, bits, kind, begin, end):  # type: ignore[no-untyped-def]
    for k in range(begin, end):
        if rows[k] < 0:
            weights[k, :] = np.float32(0.0)
        else:
            for d in range(weights.shape[1]):
                decode(halves[rows[k], d], kind, weights[k], bits[k], d)


@njit(cache=True, nogil=True)
def _repeat(weights, inverse, out, begin, end):  # type: ignore[no-untyped-def]
    dim = out.shape[1]
    for i in range(begin, end):
        source, into = weights[inverse[i]], out[i]
        for d in range(dim):
            into[d] = source[d]
