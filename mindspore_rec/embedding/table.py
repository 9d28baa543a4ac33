"""A growing hash table of embedding rows in host memory, with its sparse optimizer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, List, Optional, Protocol, Tuple, Union

import numpy as np
from numba import njit

from mindspore_rec.embedding.dedupe import DistinctIds, distinct_ids
from mindspore_rec.embedding.hashing import fill_uniform
from mindspore_rec.embedding.index import IdIndex
from mindspore_rec.embedding.memory import reserve
from mindspore_rec.embedding.optimizers import ApplyRange, Slot, first_values
from mindspore_rec.embedding.ranges import host_threads, over_ranges

MEMORY_SHARE = 0.8
MAX_ROWS = 2**31 - 1
# Beyond this the square of a gradient overflows float32 and would put infinity into an optimizer slot.
GRADIENT_LIMIT = np.float32(1e18)


class SparseOptimizer(Protocol):
    """What a table asks of its optimizer: the slots of a row, and a kernel over row ranges."""

    @property
    def slots(self) -> Tuple[Slot, ...]: ...

    def kernel(
        self, store: np.ndarray, rows: np.ndarray, grads: np.ndarray, step: int, rates: Optional[np.ndarray] = None
    ) -> ApplyRange: ...


@dataclass(frozen=True)
class Prepared:
    """A batch whose ids have rows: what `read` and `sum_gradients` work on."""

    distinct: DistinctIds
    rows: np.ndarray


class HashTable:
    """Rows of `dim` float32 weights and their optimizer slots for any 64-bit ids.

    Args:
        dim: weights of a row.
        optimizer: a sparse optimizer of `embedding.optimizers`.
        init: new weights are uniform in [-init, init), a function of (seed, id) alone.
        seed: seed of the initial values.
        max_rows: bound on the rows; default: what 80 % of host memory holds.

    >>> from mindspore_rec.embedding.optimizers import SGD
    >>> table = HashTable(2, SGD(0.5), init=0.0)
    >>> batch = table.prepare(np.array([[7, 9], [7, -1]]))
    >>> table.read(batch).shape
    (4, 2)
    >>> table.apply(batch, table.sum_gradients(batch, np.ones((4, 2), np.float32))[0])
    >>> table.lookup(np.array([7, 9, 8]))  # 7 occurred twice, 8 never
    array([[-1. , -1. ],
           [-0.5, -0.5],
           [ 0. ,  0. ]], dtype=float32)
    """

    def __init__(
        self,
        dim: int,
        optimizer: SparseOptimizer,
        *,
        init: float = 0.01,
        seed: int = 0,
        max_rows: int = 0,
        threads: int = 0,
    ) -> None:
        self.dim = dim
        self.optimizer = optimizer
        self.init = init
        self.seed = seed
        self.step = 0
        self._first = first_values(optimizer.slots, dim)
        self._width = dim + self._first.size
        self.max_rows = max_rows or _rows_in_memory(self._width)
        self._store = reserve(self.max_rows, self._width, np.float32)
        self._row_ids = reserve(self.max_rows, 0, np.int64)
        self._index = IdIndex(self._row_ids)
        self._threads = threads or host_threads()
        self._evicted: List[np.ndarray] = []
        self._sums = np.empty((0, dim), dtype=np.float32)

    def __len__(self) -> int:
        return self._index.size

    @property
    def nbytes(self) -> int:
        """Bytes of rows, ids and index in use, free rows among them."""
        return self._index.end * (self._store.itemsize * self._width + self._row_ids.itemsize) + self._index.nbytes

    def prepare(self, ids: Union[np.ndarray, DistinctIds]) -> Prepared:
        """Give every id of the batch a row, new where it has none.

        Raises:
            MemoryError: the table would outgrow `max_rows`.
        """
        distinct = ids if isinstance(ids, DistinctIds) else distinct_ids(ids)
        if len(self) + distinct.ids.size > self.max_rows:
            unknown = int((self._index.find(distinct.ids) < 0).sum())
            if len(self) + unknown > self.max_rows:
                raise MemoryError(f"embedding table is full: {len(self)} rows, max_rows={self.max_rows}")
        rows, added = self._index.find_or_add(distinct.ids)
        _initialize(self._store, self._row_ids, added, self.dim, self._first, self.seed, self.init)
        return Prepared(distinct, rows)

    def read(self, batch: Prepared, out: Optional[np.ndarray] = None) -> np.ndarray:
        """Return float32[n, dim], the weights of each id of the batch, written to `out` where it is given."""
        return self._gather(batch.rows, batch.distinct.inverse, out)

    def find(self, ids: Union[np.ndarray, DistinctIds]) -> Prepared:
        """Prepare a batch for reading only: unknown ids read as zeros and stay unknown."""
        distinct = ids if isinstance(ids, DistinctIds) else distinct_ids(ids)
        return Prepared(distinct, self._index.find(distinct.ids))

    def lookup(self, ids: np.ndarray) -> np.ndarray:
        """Return float32[n, dim], the weights of `ids`, without touching the table."""
        return self.read(self.find(ids))

    def sum_gradients(self, batch: Prepared, grads: np.ndarray, scale: float = 1.0) -> Tuple[np.ndarray, bool]:
        """Sum `scale * grads`, float32[n, dim], over the occurrences of each id.

        Returns:
            float32[u, dim], valid until the next call, and whether every sum can be used (finite, its square too).
        """
        distinct = batch.distinct
        if self._sums.shape[0] < distinct.ids.size:
            self._sums = np.empty((2 * distinct.ids.size, self.dim), dtype=np.float32)
        sums = self._sums[: distinct.ids.size]
        flat = grads.reshape(-1, self.dim)
        usable = np.ones(distinct.ids.size, dtype=np.bool_)
        factor = np.float32(scale)

        def kernel(begin: int, end: int) -> None:
            _sum(flat, distinct.starts, distinct.positions, sums, usable, begin, end, factor)

        over_ranges(kernel, distinct.ids.size, self.dim, self._threads)
        return sums, bool(usable.all())

    def apply(self, batch: Prepared, sums: np.ndarray, rates: Optional[np.ndarray] = None) -> None:
        """Update the rows of the batch's distinct ids.

        Args:
            sums: float32[u, dim], their summed gradients.
            rates: float32[u], factors of their learning rates; default: all 1.
        """
        if rates is not None and (rates.shape != (sums.shape[0],) or rates.dtype != np.float32):
            raise ValueError(f"rates is {rates.dtype}{list(rates.shape)}, expected float32[{sums.shape[0]}]")
        self.step += 1
        kernel = self.optimizer.kernel(self._store, batch.rows, sums, self.step, rates)
        over_ranges(kernel, sums.shape[0], self._width, self._threads)

    def evict(self, ids: np.ndarray) -> int:
        """Remove ids, int64[n], each once; how many had a row. Their rows are used again for the next new ids."""
        rows = self._index.remove(np.ascontiguousarray(ids, dtype=np.int64))
        self._evicted.append(self._row_ids[rows])
        return int(rows.size)

    def take_evicted(self) -> np.ndarray:
        """Tombstones: int64[n], the ids evicted since the last call that have no row now, each once, ascending."""
        ids = np.unique(np.concatenate([np.empty(0, np.int64), *self._evicted]))
        self._evicted.clear()
        return ids[self._index.find(ids) < 0]

    def state(self) -> Dict[str, np.ndarray]:
        """The whole state: ids int64[r], rows float32[r, width], step int64[1]; not copied where no row is free."""
        rows: Union[slice, np.ndarray] = slice(0, self._index.end)
        if self._index.free_rows.size:
            in_use = np.ones(self._index.end, dtype=np.bool_)
            in_use[self._index.free_rows] = False
            rows = np.flatnonzero(in_use)
        return {
            "ids": self._row_ids[rows],
            "rows": self._store[rows],
            "step": np.array([self.step], dtype=np.int64),
        }

    def load_state(self, state: Dict[str, np.ndarray]) -> None:
        """Replace the content by what `state()` returned.

        Raises:
            ValueError: shapes do not fit this table, or an id occurs twice.
        """
        ids, rows = state["ids"], state["rows"]
        if rows.shape != (ids.size, self._width):
            raise ValueError(f"table state has rows of shape {rows.shape}, expected ({ids.size}, {self._width})")
        if ids.size > self.max_rows:
            raise ValueError(f"table state has {ids.size} rows, max_rows={self.max_rows}")
        self._index = IdIndex(self._row_ids)
        self._evicted.clear()
        found, _ = self._index.find_or_add(np.ascontiguousarray(ids, dtype=np.int64))
        if self._index.size != ids.size or (found.size and int(found[-1]) != ids.size - 1):
            raise ValueError("table state names an id twice")
        self._store[: ids.size] = rows
        self.step = int(state["step"][0])

    def _gather(self, rows: np.ndarray, inverse: np.ndarray, out: Optional[np.ndarray]) -> np.ndarray:
        target = np.empty((inverse.size, self.dim), dtype=np.float32) if out is None else out
        store = self._store
        over_ranges(
            lambda begin, end: _gather(store, rows, inverse, target, begin, end), inverse.size, self.dim, self._threads
        )
        return target


def _rows_in_memory(width: int) -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(MAX_ROWS, int(MEMORY_SHARE * memory) // (4 * width + 8))


@njit(cache=True, nogil=True)
def _initialize(store, row_ids, rows, dim, first, seed, bound):  # type: ignore[no-untyped-def]
    for k in range(rows.size):
        r = rows[k]
        row = store[r]
        fill_uniform(row, dim, seed, row_ids[r], bound)
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
def _sum(grads, starts, positions, sums, usable, begin, end, scale):  # type: ignore[no-untyped-def]
    dim = grads.shape[1]
    for k in range(begin, end):
        total = sums[k]
        total[:] = np.float32(0.0)
        for p in range(starts[k], starts[k + 1]):
            i = positions[p]
            for d in range(dim):
                total[d] += grads[i, d]
        ok = True
        for d in range(dim):
            total[d] *= scale
            ok &= abs(total[d]) < GRADIENT_LIMIT  # False for NaN
        usable[k] = ok
