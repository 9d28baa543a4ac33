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
from numba import njit

from mindspore_rec.embedding.hashing import mix64
from mindspore_rec.embedding.memory import reserve, use_huge_pages
from mindspore_rec.features.words import prefetch

LOAD = 0.8  # a fuller segment is due to grow
MAX_LOAD = 0.92  # one as full as this grows at once
_MOVES_PER_ID = 4  # entries moved for each new id, at most; in the long run 1 / (GROWTH - 1) have to be
_MOVES_PER_CALL = 1 << 14
GROWTH = 1.3
SEGMENTS = 128
_FIRST_CAPACITY = 32.0
_HUGE_FROM = 1 << 17  # entries of a segment: from 1 MiB on huge pages waste less than they save
_SLACK = 1024  # entries a cluster may run past the largest capacity

_LOW_BITS = 25  # of a tag: all but those that choose the segment
_SHIFT = np.uint64(_LOW_BITS)
_LOW_MASK = np.uint64((1 << _LOW_BITS) - 1)
_EMPTY = np.uint64(0)
_HALF = np.uint64(32)
_ROW = np.uint64(0xFFFFFFFF)
_BLOCK = 16  # ids: their cache misses overlap


class IdIndex:
    """Map from int64 ids to row numbers; the ids themselves stay in the caller's `row_ids`, int64[rows].

    >>> row_ids = np.zeros(100, np.int64)
    >>> index = IdIndex(row_ids)
    >>> index.find_or_add(np.array([7, -1])).tolist(), index.find(np.array([-1, 8])).tolist()
    ([0, 1], [1, -1])
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
        self.size = 0

    @property
    def capacity(self) -> int:
        """Number of entries there is room for, used or not."""
        return int(self._capacities.sum())

    @property
    def nbytes(self) -> int:
        """Bytes of the entries."""
        return self.capacity * self._entries.itemsize

    def find(self, ids: np.ndarray) -> np.ndarray:
        """Return int32[n] rows of int64[n] ids, -1 where unknown."""
        rows: np.ndarray = _find(self._entries, self._stride, self._capacities, self._row_ids, ids)
        return rows

    def find_or_add(self, ids: np.ndarray) -> np.ndarray:
        """Return int32[n] rows of distinct ids; an unknown one gets the next row, in order, and goes into row_ids.

        Raises:
            MemoryError: the ids do not spread over the segments: somebody chose them so.
        """
        rows = np.empty(ids.size, dtype=np.int32)
        done, before = 0, self.size
        while True:
            done, self.size, full = _find_or_add(
                self._entries, self._stride, self._capacities, self._used, self._row_ids, ids, rows, done, self.size
            )
            if full < 0:
                break
            self._grow(full)
        self._grow_due(_MOVES_PER_ID * (self.size - before) + _MOVES_PER_CALL)
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
            raise MemoryError(f"{self._used[segment]} of {self.size} ids fall into one of {SEGMENTS} segments")
        first = segment * self._stride
        if capacity >= _HUGE_FROM > self._capacities[segment]:
            use_huge_pages(self._entries[first : first + self._stride])
        if self._scratch.size < capacity:  # of more than all that grow to this size need, and kept for the next
            self._scratch = np.empty(2 * capacity + _SLACK, np.uint64)
        _rebuild(self._entries, first, int(self._capacities[segment]), capacity, self._scratch)
        self._capacities[segment] = capacity


@njit(cache=True, nogil=True, inline="always")
def _home(tag, stride, capacities):  # type: ignore[no-untyped-def]
    segment = np.int64(tag >> _SHIFT)
    place = ((tag & _LOW_MASK) * np.uint64(capacities[segment])) >> _SHIFT
    return segment * stride + np.int64(place)


@njit(cache=True, nogil=True, inline="always")
def _next_match(entries, slot, tag):  # type: ignore[no-untyped-def]
    """First slot from `slot` on that is empty or has the tag."""
    entry = entries[slot]
    while entry != _EMPTY and entry >> _HALF != tag:
        slot += 1
        entry = entries[slot]
    return slot


@njit(cache=True, nogil=True, inline="always")
def _ask_ahead(entries, stride, capacities, row_ids, ids, begin, end, tags, slots):  # type: ignore[no-untyped-def]
    """Fill in tags of ids[begin:end] and where each may be; their entries and their ids are on the way to the cache."""
    for k in range(end - begin):
        tags[k] = mix64(ids[begin + k]) >> _HALF
        slots[k] = _home(tags[k], stride, capacities)
        prefetch(entries, slots[k])
    for k in range(end - begin):
        slots[k] = _next_match(entries, slots[k], tags[k])
        entry = entries[slots[k]]
        if entry != _EMPTY:
            prefetch(row_ids, np.int64(entry & _ROW) - 1)


@njit(cache=True, nogil=True)
def _find(entries, stride, capacities, row_ids, ids):  # type: ignore[no-untyped-def]
    rows = np.empty(ids.size, dtype=np.int32)
    tags, slots = np.empty(_BLOCK, dtype=np.uint64), np.empty(_BLOCK, dtype=np.int64)
    for begin in range(0, ids.size, _BLOCK):
        end = min(begin + _BLOCK, ids.size)
        _ask_ahead(entries, stride, capacities, row_ids, ids, begin, end, tags, slots)
        for k in range(end - begin):
            value, tag, slot = ids[begin + k], tags[k], slots[k]
            row = np.int64(-1)
            entry = entries[slot]
            while entry != _EMPTY:
                candidate = np.int64(entry & _ROW) - 1
                if row_ids[candidate] == value:
                    row = candidate
                    break
                slot = _next_match(entries, slot + 1, tag)
                entry = entries[slot]
            rows[begin + k] = row
    return rows


@njit(cache=True, nogil=True)
def _find_or_add(entries, stride, capacities, used, row_ids, ids, rows, done, size):  # type: ignore[no-untyped-def]
    """Go on from ids[done]; return how far it came, the rows there are, and the segment that must grow first, or -1."""
    tags, slots = np.empty(_BLOCK, dtype=np.uint64), np.empty(_BLOCK, dtype=np.int64)
    for begin in range(done, ids.size, _BLOCK):
        end = min(begin + _BLOCK, ids.size)
        _ask_ahead(entries, stride, capacities, row_ids, ids, begin, end, tags, slots)
        for k in range(end - begin):
            i = begin + k
            value, tag, slot = ids[i], tags[k], slots[k]
            while True:
                slot = _next_match(entries, slot, tag)  # again: an id of this block may have taken the empty slot
                entry = entries[slot]
                if entry == _EMPTY:
                    segment = np.int64(tag >> _SHIFT)
                    if used[segment] + 1 > MAX_LOAD * capacities[segment] or slot >= (segment + 1) * stride:
                        return i, size, segment
                    row_ids[size] = value
                    entries[slot] = (tag << _HALF) | np.uint64(size + 1)
                    used[segment] += 1
                    rows[i] = size
                    size += 1
                    break
                candidate = np.int64(entry & _ROW) - 1
                if row_ids[candidate] == value:
                    rows[i] = candidate
                    break
                slot += 1
    return ids.size, size, -1


@njit(cache=True, nogil=True)
def _rebuild(entries, first, old_capacity, capacity, scratch):  # type: ignore[no-untyped-def]
    """Spread the entries of the segment that begins at `first` over its new capacity."""
    count, slot = 0, first
    while slot < first + old_capacity or entries[slot] != _EMPTY:
        if entries[slot] != _EMPTY:
            scratch[count] = entries[slot]
            entries[slot] = _EMPTY
            count += 1
        slot += 1
    for k in range(count):  # almost in the order of their homes
        slot = first + np.int64((((scratch[k] >> _HALF) & _LOW_MASK) * np.uint64(capacity)) >> _SHIFT)
        while entries[slot] != _EMPTY:
            slot += 1
        entries[slot] = scratch[k]


def load_of(index: IdIndex) -> Tuple[float, int]:
    """Share of the entries in use, and how far the farthest is from its home."""
    return index.size / index.capacity, int(_longest_probe(index._entries, index._stride, index._capacities))


@njit(cache=True, nogil=True)
def _longest_probe(entries, stride, capacities):  # type: ignore[no-untyped-def]
    longest = 0
    for segment in range(capacities.size):
        slot = segment * stride
        while slot < segment * stride + capacities[segment] or entries[slot] != _EMPTY:
            entry = entries[slot]
            if entry != _EMPTY:
                longest = max(longest, slot - _home(entry >> _HALF, stride, capacities))
            slot += 1
    return longest
