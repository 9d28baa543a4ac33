"""Rows that lie over those of an exported table: what deltas changed since."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numba import njit

from mindspore_rec.embedding import host_memory
from mindspore_rec.embedding.bounds import MEMORY_SHARE
from mindspore_rec.embedding.id_order import sort_ids
from mindspore_rec.embedding.index import ENTRY_BYTES, IdIndex
from mindspore_rec.embedding.memory import reserve
from mindspore_rec.embedding.row_store import gather_rows
from mindspore_rec.embedding.table_rows import ChangedRows

_MOST = (1 << 31) - 1


class RowOverlay:
    """A hash table of rows, in address space that costs memory where it is written. One thread at a time.

    An id that was removed keeps a row of zeros here, which hides that of the exported table.

    Args:
        dim: values of a row.

    >>> overlay = RowOverlay(2)
    >>> overlay.apply(ChangedRows(np.array([5]), np.ones((1, 2), np.float32), np.array([7])))
    >>> overlay.known(np.array([5, 6, 7])).tolist(), overlay.read(overlay.find(np.array([5, 6, 7]))).tolist()
    ([True, False, True], [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        most = min(_MOST, int(MEMORY_SHARE * host_memory.total() / (4 * dim + 9 + ENTRY_BYTES)))
        self._ids = reserve(most, 0, np.int64, huge=False)
        self._weights = reserve(most, dim, np.float32, huge=False)
        self._gone = reserve(most, 0, np.bool_, huge=False)
        self._index = IdIndex(self._ids)

    def __len__(self) -> int:
        return self._index.size

    def apply(self, changed: ChangedRows) -> None:
        """Take over what changed.

        Raises:
            MemoryError: there is no room for it.
        """
        # Kernels without the interpreter lock: whoever answers requests needs that meanwhile.
        _put(self._index.find_or_add(changed.ids)[0], changed.weights, self._weights, self._gone)
        _take_out(self._index.find_or_add(changed.removed)[0], self._weights, self._gone)

    def find(self, ids: np.ndarray) -> np.ndarray:
        """Return int32[n], the rows of int64[n] ids, -1 for those that are not known here."""
        return self._index.find(ids)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return float32[n, dim], copies of rows, int32[n]; zeros for row -1."""
        found = np.empty((rows.size, self.dim), np.float32)
        gather_rows(self._weights, rows, found, 0, rows.size)
        return found

    def known(self, ids: np.ndarray) -> np.ndarray:
        """Return bool[n], which of int64[n] ids are known here."""
        return np.asarray(self._index.find(ids) >= 0)

    def rows(self) -> Tuple[np.ndarray, np.ndarray]:
        """Return int64[r] ids that have a row, ascending as unsigned numbers, and float32[r, dim], copies of them."""
        count = self._index.end
        places = np.flatnonzero(~self._gone[:count])
        ids, places = sort_ids(self._ids[places], places)
        return ids, self._weights[places]


@njit(cache=True, nogil=True)
def _put(rows, values, weights, gone):  # type: ignore[no-untyped-def]
    dim = weights.shape[1]
    for k in range(rows.size):
        into = weights[rows[k]]
        for d in range(dim):
            into[d] = values[k, d]
        gone[rows[k]] = False


@njit(cache=True, nogil=True)
def _take_out(rows, weights, gone):  # type: ignore[no-untyped-def]
    for row in rows:
        weights[row] = np.float32(0.0)
        gone[row] = True
