"""Which rows changed since the last checkpoint, and by what the digest of all rows did.

Whoever changes a row says so first. The first time since the last checkpoint the row's hash is subtracted: with the
hashes of the changed rows as they are at the next checkpoint, the digest of all rows follows from the one before.
"""

from __future__ import annotations

import threading
from typing import Callable, List, Optional

import numpy as np

from mindspore_rec.embedding import row_bits
from mindspore_rec.embedding.index import IdIndex
from mindspore_rec.embedding.ranges import over_ranges
from mindspore_rec.embedding.row_arrays import RowArrays
from mindspore_rec.embedding.row_digest import MODULUS
from mindspore_rec.embedding.snapshot import KeptRows, RowSnapshot
from mindspore_rec.embedding.touched import TouchedRows


class RowChanges:
    """Follows the changes of rows between `begin` and `stop`; otherwise what it is told costs nothing.

    Args:
        arrays: where the rows live.
        index: returns the index of their ids.
        threads: to compute hashes with.

    Attributes:
        following: whether changes are followed.
        touched: is told of the same changes, whether they are followed or not; None: nobody asks.
    """

    def __init__(self, arrays: RowArrays, index: Callable[[], IdIndex], threads: int = 1) -> None:
        self._arrays, self._index, self._threads = arrays, index, threads
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._snapshot_open = False
        self.following = False
        self.touched: Optional[TouchedRows] = None

    def nbytes(self, rows: int) -> int:
        """Bytes it takes to follow so many rows."""
        return 3 * rows // 8 if self.following else 0

    def touch(self) -> TouchedRows:
        """Have what is touched noted from now on, for one reader."""
        self.touched = TouchedRows(self._arrays.ids.size, self._arrays.ids, self._index)
        return self.touched

    def begin(self) -> int:
        """Follow changes from now on; return the digest of the rows there are."""
        with self._idle:
            self._wait_idle()
            index = self._index()
            most, end = self._arrays.ids.size, index.end
            self._changed, self._wanted, self._pending = (row_bits.no_rows(most) for _ in range(3))
            self._kept = KeptRows(self._arrays)
            self.following = True
            row_bits.fill(self._wanted[: end // 8 + 1], end, index.free_rows)
            rows = np.empty(index.size, np.int32)
            count = row_bits.members(self._wanted, 0, end, rows)
            self._digest: Optional[int] = self._sum(rows[:count])
            self._difference = 0
            self._removed: List[np.ndarray] = []
        return self._digest

    def stop(self) -> None:
        """Follow changes no longer: all rows are being replaced."""
        if self.following:
            with self._idle:
                self._wait_idle()
                self.following = False

    @property
    def digest_known(self) -> bool:
        """Whether a snapshot of the changes alone can be made."""
        return self.following and self._digest is not None

    def change(self, rows: np.ndarray) -> None:
        """Rows, int32[n] each once, are about to be changed."""
        if self.touched is not None:
            self.touched.touch(rows)
        if not self.following or not rows.size:
            return
        with self._lock:
            self._subtract(rows)
            self._keep(rows)

    def add(self, rows: np.ndarray) -> None:
        """New ids got rows, int32[n]; what these held before was kept aside when it was removed."""
        if self.touched is not None:
            self.touched.touch(rows)
        if self.following and rows.size:
            with self._lock:
                row_bits.put(self._changed, rows, np.empty(rows.size, np.int32))

    def remove(self, rows: np.ndarray) -> None:
        """Rows, int32[n] each once, are about to lose their ids, and the statistics with them."""
        if self.touched is not None:
            self.touched.remove(rows)
        if not self.following or not rows.size:
            return
        with self._lock:
            self._subtract(rows)
            row_bits.take(self._changed, rows, np.empty(rows.size, np.int32))
            self._removed.append(self._arrays.ids[rows])
            self._keep(rows)

    def change_all(self) -> None:
        """All rows are about to be changed: wait until a snapshot that is being read is done; the next is of all."""
        if self.touched is not None:
            self.touched.touch_all()
        if self.following:
            with self._idle:
                self._wait_idle()
                self._digest = None

    def capture(self, whole: bool) -> RowSnapshot:
        """Return all rows as they are now, or those that changed since the last time; then changes begin anew.

        Raises:
            RuntimeError: changes are not followed, a snapshot is still open, or only one of all rows can be made.
        """
        if not self.following or self._snapshot_open or not (whole or self.digest_known):
            raise RuntimeError("no snapshot can be made now")
        index = self._index()
        with self._lock:
            size = index.end // 8 + 1
            if whole:
                row_bits.fill(self._wanted[:size], index.end, index.free_rows)
            else:
                self._wanted, self._changed = self._changed, self._wanted
            self._changed[:size] = 0
            self._pending[:size] = self._wanted[:size]
            removed, self._removed = self._removed, []
            before = 0 if whole or self._digest is None else self._digest + self._difference
            self._difference, self._digest = 0, 0
            self._snapshot_open = True

        def done(total: Optional[int]) -> int:
            with self._idle:
                self._kept.clear()
                self._snapshot_open = False
                digest = None if total is None else (before + total) % MODULUS
                if self._digest is not None:
                    self._digest = digest
                self._idle.notify_all()
            return digest or 0

        return RowSnapshot(
            self._arrays, self._wanted, self._pending, index.end, index.size, removed, self._kept, self._lock, done
        )

    def _subtract(self, rows: np.ndarray) -> None:
        """Note rows as changed; take the hashes of those that were not from the digest."""
        first = np.empty(rows.size, np.int32)
        first = first[: row_bits.put(self._changed, rows, first)]
        if self._digest is not None:
            self._difference -= self._sum(first)

    def _keep(self, rows: np.ndarray) -> None:
        if self._snapshot_open:
            kept = np.empty(rows.size, np.int32)
            kept = kept[: row_bits.take(self._pending, rows, kept)]
            if kept.size:
                self._kept.add(kept)

    def _sum(self, rows: np.ndarray) -> int:
        sums: List[int] = []

        def kernel(begin: int, end: int) -> None:
            sums.append(self._arrays.digest(rows, begin, end))

        over_ranges(kernel, rows.size, self._arrays.words.shape[1] + 8, self._threads)
        return sum(sums) % MODULUS

    def _wait_idle(self) -> None:
        while self._snapshot_open:
            self._idle.wait()
