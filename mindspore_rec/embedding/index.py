"""Id -> row: an open-addressing hash index of 8-byte entries that grows a small part at a time.

An entry is ``tag << 32 | row + 1``, 0 where empty, so every id is valid. The tag is the upper half of the mixed id. Its
first bits choose a segment, the others scale to a home in it: a larger segment keeps the order of its entries, so it is
rebuilt in one sequential pass that never reads the ids. A segment that is more than four fifths full is due to grow by
three tenths; the segments begin at different points of that cycle, so at any size some are due with each batch, the
fullest first and no more than the batch pays for. No call waits for all, and an entry takes 11 to 12 bytes at any size.

Segments lie side by side in reserved address space, each with room for the largest it may become. Entries pushed past
a segment's capacity go on there; nothing wraps around.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

from mindspore_rec.embedding.index_kernels import (
    NO_ROW,
    find,
    find_or_add,
    longest_probe,
    put_back,
    remove,
    take_out,
)
from mindspore_rec.embedding.memory import reserve, use_huge_pages
from mindspore_rec.kill_points import reached

LOAD = 0.8  # a fuller segment is due to grow
_MOVES_PER_ID = 4  # entries moved for each new id, at most; in the long run 1 / (GROWTH - 1) have to be
_MOVES_PER_CALL = 1 << 14
GROWTH = 1.3
SEGMENTS = 128
_FIRST_CAPACITY = 32.0
_HUGE_FROM = 1 << 17  # entries of a segment: from 1 MiB on huge pages waste less than they save
ENTRY_BYTES = 12.5  # of an id, at most, once there are many
_SLACK = 1024  # entries a cluster may run past the largest capacity


class IdIndex:
    """Map from int64 ids to row numbers; the ids themselves stay in the caller's `row_ids`, int64[rows].

    Attributes:
        size: ids there are.
        end: rows 0 to end - 1 are in use or free.

    >>> row_ids = np.zeros(100, np.int64)
    >>> index = IdIndex(row_ids)
    >>> index.find_or_add(np.array([7, -1]))[0].tolist(), index.find(np.array([-1, 8])).tolist()
    ([0, 1], [1, -1])
    >>> index.remove(np.array([7])).tolist(), index.find_or_add(np.array([5]))[0].tolist()  # its row is used again
    ([0], [0])
    """

    def __init__(self, row_ids: np.ndarray) -> None:
        self._row_ids = row_ids
        # Twice a segment's mean: mixed ids spread evenly, and address space costs nothing.
        self._stride = int(2 * row_ids.size / SEGMENTS / LOAD) + int(_FIRST_CAPACITY * GROWTH) + 2 * _SLACK
        self._entries = reserve(SEGMENTS * self._stride + 1, 0, np.uint64, huge=False)
        self._ideal = _FIRST_CAPACITY * GROWTH ** (np.arange(SEGMENTS) / SEGMENTS)
        self._capacities = self._ideal.astype(np.int64)
        self._scratch = np.empty(0, np.uint64)
        self._used = np.zeros(SEGMENTS, np.int64)
        self._free = np.empty(0, np.int32)  # a stack: the first `end - size` of them
        self.size = self.end = 0

    @property
    def capacity(self) -> int:
        """Number of entries there is room for, used or not."""
        return int(self._capacities.sum())

    @property
    def nbytes(self) -> int:
        """Bytes of the entries."""
        return self.capacity * self._entries.itemsize

    def longest_probe(self) -> int:
        """Return how far the farthest entry is from where it is looked for first; reads all entries."""
        return int(longest_probe(self._entries, self._stride, self._capacities))

    def find(self, ids: np.ndarray) -> np.ndarray:
        """Return int32[n] rows of int64[n] ids, -1 where unknown."""
        rows = np.empty(ids.size, dtype=np.int32)
        self.find_range(ids, rows, 0, ids.size)
        return rows

    def find_range(self, ids: np.ndarray, rows: np.ndarray, begin: int, end: int) -> None:
        """Write the rows of `ids[begin:end]` to `rows`; ranges of a batch may be found on several threads."""
        find(self._entries, self._stride, self._capacities, self._row_ids, ids, rows, begin, end)

    @property
    def free_rows(self) -> np.ndarray:
        """int32[end - size] rows below `end` that no id has."""
        return self._free[: self.end - self.size]

    def find_or_add(self, ids: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Find ids and add unknown ones, each of which gets a free row, else the next one, and goes into row_ids.

        Args:
            ids: int64[n], each once.

        Returns:
            int32[n] rows of the ids, and int32[m], those of them that are new, in the order of the ids.

        Raises:
            MemoryError: there is no row left, or the ids do not spread over the segments: somebody chose them so.
        """
        rows, added = np.empty(ids.size, dtype=np.int32), np.empty(ids.size, dtype=np.int32)
        done, before = 0, self.size
        while True:
            done, new, self.end, full = find_or_add(
                self._entries,
                self._stride,
                self._capacities,
                self._used,
                self._row_ids,
                ids,
                rows,
                added[self.size - before :],
                self._free,
                self.end - self.size,
                self.end,
                done,
            )
            self.size += new
            if full == NO_ROW:
                raise MemoryError(f"no row left: all {self._row_ids.size} are in use")
            if full < 0:
                break
            self._grow(full)
        self._grow_due(_MOVES_PER_ID * (self.size - before) + _MOVES_PER_CALL)
        return rows, added[: self.size - before]

    def remove(self, ids: np.ndarray) -> np.ndarray:
        """Remove ids, int64[n]; return int32[m], the rows of those there were, free from now on."""
        free = self.end - self.size
        if self._free.size < free + ids.size:
            self._free = np.concatenate((self._free[:free], np.empty(free + ids.size, dtype=np.int32)))
        removed = remove(
            self._entries, self._stride, self._capacities, self._used, self._row_ids, ids, self._free[free:]
        )
        self.size -= removed
        rows: np.ndarray = self._free[free : free + removed].copy()
        return rows

    def _grow_due(self, moves: int) -> None:
        """Grow segments, the fullest first, that take about so many moves together."""
        loads = self._used / self._capacities
        due = np.flatnonzero(loads > LOAD)
        for segment in due[np.argsort(-loads[due])].tolist():
            if moves <= 0:
                return
            moves -= int(self._used[segment])
            self._grow(segment)

    def _grow(self, segment: int) -> None:
        self._ideal[segment] *= GROWTH
        capacity = int(self._ideal[segment])
        if capacity + _SLACK > self._stride:
            raise self._uneven(segment)
        first = segment * self._stride
        if capacity >= _HUGE_FROM > self._capacities[segment]:
            use_huge_pages(self._entries[first : first + self._stride])
        if self._scratch.size < capacity:  # of more than all that grow to this size need, and kept for the next
            self._scratch = np.empty(2 * capacity + _SLACK, np.uint64)
        old, last = int(self._capacities[segment]), first + self._stride
        count = take_out(self._entries, first, old, self._scratch)
        reached("table-growth")
        if not put_back(self._entries, first, last, capacity, self._scratch, count):
            self._entries[first:last] = 0
            put_back(self._entries, first, last, old, self._scratch, count)
            raise self._uneven(segment)
        self._capacities[segment] = capacity

    def _uneven(self, segment: int) -> MemoryError:
        used = self._used[segment]
        return MemoryError(f"{used} of {self.size} ids fall into one of {SEGMENTS} segments, close together")
