"""Rows as they were at one moment, read by a slow writer while training goes on.

Nothing is copied at that moment. A row that training is about to change is copied aside first, unless the writer has
been there; the writer walks the rows in order and takes each from its place or from aside.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import numpy as np
from numba import njit

from mindspore_rec.embedding import row_bits
from mindspore_rec.embedding.row_arrays import Columns, RowArrays

_CHUNK_ROWS = 1 << 14
_LARGEST_STEP = 1 << 20
_WARM_BYTES = 32 << 20


@dataclass(frozen=True)
class TableSnapshot:
    """The state of a table at one moment, or what of it changed.

    Attributes:
        arrays: what is not kept by row.
        rows: the others, by the prefix of their names: "" for rows, "waiting.N." for ids that wait under rule N.
    """

    arrays: Dict[str, np.ndarray]
    rows: Dict[str, RowSnapshot]


class KeptRows:
    """Copies of rows, kept aside until the writer comes for them."""

    def __init__(self, arrays: RowArrays) -> None:
        self._source = arrays
        self._arrays = arrays.reserved(arrays.ids.size)
        self._batches: List[Tuple[np.ndarray, int]] = []
        self._used = 0

    def add(self, rows: np.ndarray) -> None:
        """Copy rows, int32[n]."""
        self._source.copy(rows, self._arrays, np.arange(self._used, self._used + rows.size))
        self._batches.append((rows, self._used))
        self._used += rows.size

    def clear(self) -> None:
        """Forget all; what is little is kept warm for the next time."""
        if self._used * self._source.row_bytes > _WARM_BYTES:
            self._arrays = self._source.reserved(self._source.ids.size)
        self._batches, self._used = [], 0

    def sort(self, sorted_batches: List[Tuple[np.ndarray, np.ndarray]]) -> None:
        """Append those batches, by row number, that `sorted_batches` lacks: rows and where they are."""
        for rows, begin in self._batches[len(sorted_batches) :]:
            order = np.argsort(rows)
            sorted_batches.append((rows[order], begin + order))

    def copy(self, slots: np.ndarray, into: RowArrays, at: np.ndarray) -> None:
        """Copy what was kept in `slots` to the rows `at` of `into`."""
        self._arrays.copy(slots, into, at)


class RowSnapshot:
    """Rows as they were when it was made.

    Args:
        arrays: where the rows live.
        wanted: bits of the rows it holds; not changed while it lives.
        pending: the same bits, cleared as rows are written or kept aside.
        end: all rows of it are below.
        total: rows there were.
        removed: int64[k], ids without a row since the snapshot before; they may have one again.
        kept: where rows are kept aside.
        lock: held while bits change.
        done: called once with the sum of the rows' digests, or None where the rows were not all read.

    Attributes:
        count: rows it holds.
        total: rows there were.
        digest: of all rows there were, once the chunks were read.
        finite: whether no value read so far was NaN or infinite.
    """

    def __init__(
        self,
        arrays: RowArrays,
        wanted: np.ndarray,
        pending: np.ndarray,
        end: int,
        total: int,
        removed: List[np.ndarray],
        kept: KeptRows,
        lock: threading.Lock,
        done: Callable[[Optional[int]], int],
    ) -> None:
        self._arrays, self._wanted, self._pending, self._end = arrays, wanted, pending, end
        self._removed, self._kept, self._lock, self._done = removed, kept, lock, done
        self._open = True
        self.total = total
        self.count = int(row_bits.count(wanted, end))
        self.digest = 0
        self.finite = True

    @property
    def columns(self) -> Columns:
        """Name, type and width of each array of a chunk."""
        return self._arrays.columns

    @cached_property
    def removed(self) -> np.ndarray:
        """int64[k], ascending: ids that lost their row since the snapshot before; they may have one again."""
        return np.unique(np.concatenate([np.empty(0, np.int64), *self._removed]))

    def chunks(self) -> Iterator[Dict[str, np.ndarray]]:
        """Yield all rows once, ascending by row number, some at a time, in arrays valid until the next."""
        spread = _CHUNK_ROWS * self._end // max(self.count, 1)
        step = min(max(spread, _CHUNK_ROWS), _LARGEST_STEP) // 8 * 8
        chunk = self._arrays.reserved(step)
        rows, here = np.empty(step, np.int32), np.empty(step, np.int32)
        batches: List[Tuple[np.ndarray, np.ndarray]] = []
        total = 0
        for begin in range(0, self._end, step):
            count = row_bits.members(self._wanted, begin, min(begin + step, self._end), rows)
            if not count:
                continue
            with self._lock:
                left = _take_places(self._pending, rows[:count], here)
                self._arrays.copy(rows[here[:left]], chunk, here[:left])
                self._kept.sort(batches)
            if left + self._fetch(batches, rows[:count], chunk) != count:
                raise AssertionError("a row changed that was not kept aside")
            total += chunk.digest(np.arange(count, dtype=np.int32), 0, count)
            self.finite &= chunk.finite(count)
            yield chunk.arrays(count)
        self._open = False
        self.digest = self._done(total)

    def close(self) -> None:
        """Have no more rows kept aside; a second call does nothing."""
        if self._open:
            self._open = False
            self._done(None)

    def _fetch(self, batches: List[Tuple[np.ndarray, np.ndarray]], rows: np.ndarray, chunk: RowArrays) -> int:
        """Copy those of `rows` that were kept aside to their places; how many."""
        first, last, fetched = rows[0], rows[-1], 0
        for kept, slots in batches:
            part = slice(int(np.searchsorted(kept, first)), int(np.searchsorted(kept, last, "right")))
            if part.start < part.stop:
                self._kept.copy(slots[part], chunk, np.searchsorted(rows, kept[part]))
                fetched += part.stop - part.start
        return fetched


@njit(cache=True, nogil=True)
def _take_places(pending, rows, places):  # type: ignore[no-untyped-def]
    """Take from `pending` what of `rows` is in it; write their places in `rows` to `places` and return how many."""
    count = 0
    for k in range(rows.size):
        byte, bit = rows[k] >> 3, np.uint8(1 << (rows[k] & 7))
        if pending[byte] & bit:
            pending[byte] ^= bit
            places[count] = k
            count += 1
    return count
