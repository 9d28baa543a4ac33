"""Rows of a table: where an id's weights and optimizer slots are kept, and the kernels that read and write them.

A row is `[weights, slot 1, slot 2 ...]` in float32; weights of 16 bits take the room of half as many.
"""

from __future__ import annotations

from typing import Optional, Protocol, Tuple, Union

import numpy as np
from numba import njit

from mindspore_rec.embedding.halves import FLOAT32, ROW_TYPES, decode, pack, unpack
from mindspore_rec.embedding.index import IdIndex
from mindspore_rec.embedding.initial import Initial, fill_initial
from mindspore_rec.embedding.memory import reserve
from mindspore_rec.embedding.optimizers import ApplyRange, Slot, first_values
from mindspore_rec.embedding.ranges import over_ranges

INDEX_BYTES = 12.5  # of the index, for an id
_CHUNK = 1024  # rows unpacked at a time


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
    """

    def __init__(
        self, max_rows: int, dim: int, optimizer: SparseOptimizer, init: Initial, seed: int, row_type: str, threads: int
    ) -> None:
        self.dim, self.max_rows = dim, max_rows
        self._optimizer, self._law, self._seed, self._threads = optimizer, init.law, seed, threads
        if row_type not in ROW_TYPES:
            raise ValueError(f"row_type = {row_type!r}: expected one of {', '.join(ROW_TYPES)}")
        self._kind = ROW_TYPES[row_type]
        self._first = first_values(optimizer.slots, dim)
        self._weight_words = weight_words(dim, row_type)
        self._width = self._weight_words + self._first.size
        self._store = reserve(max_rows, self._width, np.float32)
        self._halves = self._store.view(np.uint16)
        self.ids = reserve(max_rows, 0, np.int64)
        self.index = IdIndex(self.ids)

    @property
    def nbytes(self) -> int:
        """Bytes in use, free rows among them."""
        return self.index.end * (4 * self._width + 8) + self.index.nbytes

    def add(self, ids: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Find ids, int64[n] each once, and give the unknown ones a row; return as `IdIndex.find_or_add`."""
        rows, added = self.index.find_or_add(ids)
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
        target = np.empty((inverse.size, self.dim), dtype=np.float32) if out is None else out
        store, halves, bits, half_type = self._store, self._halves, target.view(np.uint32), self._kind

        def kernel(begin: int, end: int) -> None:
            if half_type == FLOAT32:
                _gather(store, rows, inverse, target, begin, end)
            else:
                _gather_halves(halves, rows, inverse, target, bits, half_type, begin, end)

        over_ranges(kernel, inverse.size, self.dim, self._threads)
        return target

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
            copied: np.ndarray = self._store[rows]
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
        self.index = IdIndex(self.ids)
        found, _ = self.index.find_or_add(np.ascontiguousarray(ids, dtype=np.int64))
        if self.index.size != ids.size or (found.size and int(found[-1]) != ids.size - 1):
            raise ValueError("table state names an id twice")
        store[: ids.size] = content

    def _write(self, rows: np.ndarray, values: np.ndarray, step: int) -> None:
        pack(self._halves, rows, self.dim, self._kind, values, values.view(np.uint32), self.ids, self._seed, step)
        self._store[rows, self._weight_words :] = values[:, self.dim :]


def weight_words(dim: int, row_type: str) -> int:
    """Float32 words that the weights of a row take.

    >>> weight_words(5, "float32"), weight_words(5, "bfloat16")
    (5, 3)
    """
    return dim if ROW_TYPES[row_type] == FLOAT32 else (dim + 1) // 2


def bytes_of_row(dim: int, optimizer: SparseOptimizer, row_type: str) -> float:
    """Bytes a row takes, with its id and its entry in the index."""
    return 4 * (weight_words(dim, row_type) + first_values(optimizer.slots, dim).size) + 8 + INDEX_BYTES


@njit(cache=True, nogil=True)
def _initialize(store, row_ids, rows, dim, first, seed, kind, scale, mean):  # type: ignore[no-untyped-def]
    for k in range(rows.size):
        r = rows[k]
        row = store[r]
        fill_initial(row, dim, seed, row_ids[r], kind, scale, mean)
        for j in range(first.size):
            row[dim + j] = first[j]


@njit(cache=True, nogil=True)
def _gather(store, rows, inverse, out, begin, end):  # type: ignore[no-untyped-def]
    dim = out.shape[1]
    zero = np.float32(0.0)
    for i in range(begin, end):
        row = rows[inverse[i]]
        if row < 0:
            for d in range(dim):
                out[i, d] = zero
        else:
            for d in range(dim):
                out[i, d] = store[row, d]


@njit(cache=True, nogil=True)
def _gather_halves(halves, rows, inverse, out, bits, kind, begin, end):  # type: ignore[no-untyped-def]
    dim = out.shape[1]
    for i in range(begin, end):
        row = rows[inverse[i]]
        if row < 0:
            out[i, :] = np.float32(0.0)
        else:
            for d in range(dim):
                decode(halves[row, d], kind, out[i], bits[i], d)
