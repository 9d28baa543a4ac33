"""Id -> row: an open-addressing hash index of 8-byte entries.

An entry is ``tag << 32 | row + 1``, 0 where empty, so every id is valid. The tag is the upper half of the mixed id and
its top bits are the home position: an index twice the size keeps the order of the entries, and rehashing is one
sequential pass that never reads the ids.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mindspore_rec.embedding.hashing import mix64
from mindspore_rec.embedding.memory import reserve

MAX_LOAD = 0.7
_EMPTY = np.uint64(0)
_ONE = np.uint64(1)
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


class IdIndex:
    """Map from int64 ids to row numbers; the ids themselves stay in the caller's `row_ids`, int64[rows]."""

    def __init__(self, row_ids: np.ndarray, capacity: int = 1024) -> None:
        self._row_ids = row_ids
        self._entries = reserve(_power_of_two(capacity), 0, np.uint64)
        self.size = 0

    @property
    def capacity(self) -> int:
        """Number of entries there is room for, used or not."""
        return int(self._entries.size)

    @property
    def nbytes(self) -> int:
        """Bytes of the entries."""
        return int(self._entries.nbytes)

    def find(self, ids: np.ndarray) -> np.ndarray:
        """Return int32[n] rows of int64[n] ids, -1 where unknown."""
        rows: np.ndarray = _find(self._entries, self._row_ids, ids)
        return rows

    def find_or_add(self, ids: np.ndarray) -> np.ndarray:
        """Return int32[n] rows of distinct ids; an unknown one gets the next row, in order, and goes into row_ids."""
        self.make_room(ids.size)
        rows, self.size = _find_or_add(self._entries, self._row_ids, ids, self.size)
        return rows

    def make_room(self, more: int) -> None:
        """Grow until `more` further ids fit under the maximal load."""
        capacity = self.capacity
        while self.size + more > MAX_LOAD * capacity:
            capacity *= 2
        if capacity != self.capacity:
            entries = reserve(capacity, 0, np.uint64)
            _rehash(self._entries, entries)
            self._entries = entries


def _power_of_two(at_least: int) -> int:
    capacity = 16
    while capacity < at_least:
        capacity *= 2
    return capacity


@njit(cache=True, nogil=True, inline="always")
def _home_shift(capacity):  # type: ignore[no-untyped-def]
    bits = 0
    while (1 << bits) < capacity:
        bits += 1
    return np.uint64(32 - bits)


@njit(cache=True, nogil=True)
def _find(entries, row_ids, ids):  # type: ignore[no-untyped-def]
    shift = _home_shift(entries.size)
    mask = np.uint64(entries.size - 1)
    rows = np.empty(ids.size, dtype=np.int32)
    for i in range(ids.size):
        value = ids[i]
        tag = mix64(value) >> _HALF
        slot = tag >> shift
        row = np.int64(-1)
        while True:
            entry = entries[slot]
            if entry == _EMPTY:
                break
            if entry >> _HALF == tag:
                candidate = np.int64(entry & _LOW) - 1
                if row_ids[candidate] == value:
                    row = candidate
                    break
            slot = (slot + _ONE) & mask
        rows[i] = row
    return rows


@njit(cache=True, nogil=True)
def _find_or_add(entries, row_ids, ids, size):  # type: ignore[no-untyped-def]
    shift = _home_shift(entries.size)
    mask = np.uint64(entries.size - 1)
    rows = np.empty(ids.size, dtype=np.int32)
    for i in range(ids.size):
        value = ids[i]
        tag = mix64(value) >> _HALF
        slot = tag >> shift
        while True:
            entry = entries[slot]
            if entry == _EMPTY:
                row_ids[size] = value
                entries[slot] = (tag << _HALF) | np.uint64(size + 1)
                rows[i] = size
                size += 1
                break
            if entry >> _HALF == tag:
                candidate = np.int64(entry & _LOW) - 1
                if row_ids[candidate] == value:
                    rows[i] = candidate
                    break
            slot = (slot + _ONE) & mask
    return rows, size


@njit(cache=True, nogil=True)
def _rehash(old, new):  # type: ignore[no-untyped-def]
    shift = _home_shift(new.size)
    mask = np.uint64(new.size - 1)
    for k in range(old.size):
        entry = old[k]
        if entry != _EMPTY:
            slot = (entry >> _HALF) >> shift
            while new[slot] != _EMPTY:
                slot = (slot + _ONE) & mask
            new[slot] = entry
