"""Kernels of the hash index over its entries; `index.py` says how they lie. The caller checks all sizes."""

from __future__ import annotations

import numpy as np
from numba import njit

from mindspore_rec.embedding.hashing import mix64
from mindspore_rec.features.words import prefetch

MAX_LOAD = 0.92  # a segment as full as this grows at once
NO_ROW = -2

_LOW_BITS = 25  # of a tag: all but those that choose the segment
_SHIFT = np.uint64(_LOW_BITS)
_LOW_MASK = np.uint64((1 << _LOW_BITS) - 1)
_EMPTY = np.uint64(0)
_HALF = np.uint64(32)
_ROW = np.uint64(0xFFFFFFFF)
_BLOCK = 32  # ids: their cache misses overlap


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
def find(entries, stride, capacities, row_ids, ids, rows, first, last):  # type: ignore[no-untyped-def]
    tags, slots = np.empty(_BLOCK, dtype=np.uint64), np.empty(_BLOCK, dtype=np.int64)
    for begin in range(first, last, _BLOCK):
        end = min(begin + _BLOCK, last)
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


@njit(cache=True, nogil=True)
def find_or_add(  # type: ignore[no-untyped-def]
    entries, stride, capacities, used, row_ids, ids, rows, added, free_rows, free, end_row, done
):
    """Go on from ids[done].

    Returns:
        how far it came, ids added, the row behind the last one, and what is in its way: the segment that must grow
        first, NO_ROW, or -1 for nothing.
    """
    new = 0
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
                        return i, new, end_row, segment
                    if free == 0 and end_row == row_ids.size:
                        return i, new, end_row, NO_ROW
                    if free > 0:
                        free -= 1
                        row = np.int64(free_rows[free])
                    else:
                        row = end_row
                        end_row += 1
                    row_ids[row] = value
                    entries[slot] = (tag << _HALF) | np.uint64(row + 1)
                    used[segment] += 1
                    rows[i] = row
                    added[new] = row
                    new += 1
                    break
                candidate = np.int64(entry & _ROW) - 1
                if row_ids[candidate] == value:
                    rows[i] = candidate
                    break
                slot += 1
    return ids.size, new, end_row, -1


@njit(cache=True, nogil=True)
def remove(entries, stride, capacities, used, row_ids, ids, removed):  # type: ignore[no-untyped-def]
    """Take ids out; fill in their rows and return how many there were."""
    count = 0
    tags, slots = np.empty(_BLOCK, dtype=np.uint64), np.empty(_BLOCK, dtype=np.int64)
    for begin in range(0, ids.size, _BLOCK):
        end = min(begin + _BLOCK, ids.size)
        _ask_ahead(entries, stride, capacities, row_ids, ids, begin, end, tags, slots)
        for k in range(end - begin):
            # From its home: what was removed before it in this block may have moved it nearer.
            slot = _next_match(entries, _home(tags[k], stride, capacities), tags[k])
            while entries[slot] != _EMPTY and row_ids[np.int64(entries[slot] & _ROW) - 1] != ids[begin + k]:
                slot = _next_match(entries, slot + 1, tags[k])
            if entries[slot] == _EMPTY:
                continue
            removed[count] = np.int64(entries[slot] & _ROW) - 1
            count += 1
            used[np.int64(tags[k] >> _SHIFT)] -= 1
            _close_gap(entries, stride, capacities, slot)
    return count


@njit(cache=True, nogil=True, inline="always")
def _close_gap(entries, stride, capacities, gap):  # type: ignore[no-untyped-def]
    """Empty a slot and move up what probing would no longer reach (Knuth, TAOCP 3, 6.4, algorithm R)."""
    slot = gap + 1
    while entries[slot] != _EMPTY:
        if _home(entries[slot] >> _HALF, stride, capacities) <= gap:
            entries[gap] = entries[slot]
            gap = slot
        slot += 1
    entries[gap] = _EMPTY


@njit(cache=True, nogil=True)
def take_out(entries, first, capacity, scratch):  # type: ignore[no-untyped-def]
    """Move the entries of the segment that begins at `first` to `scratch`, in order; how many there are."""
    count, slot = 0, first
    while slot < first + capacity or entries[slot] != _EMPTY:
        if entries[slot] != _EMPTY:
            scratch[count] = entries[slot]
            entries[slot] = _EMPTY
            count += 1
        slot += 1
    return count


@njit(cache=True, nogil=True)
def put_back(entries, first, last, capacity, scratch, count):  # type: ignore[no-untyped-def]
    """Spread entries over a capacity from `first` on; False where they would run on to `last`."""
    for k in range(count):  # almost in the order of their homes
        slot = first + np.int64((((scratch[k] >> _HALF) & _LOW_MASK) * np.uint64(capacity)) >> _SHIFT)
        while entries[slot] != _EMPTY:
            slot += 1
        if slot >= last:
            return False
        entries[slot] = scratch[k]
    return True


@njit(cache=True, nogil=True)
def longest_probe(entries, stride, capacities):  # type: ignore[no-untyped-def]
    longest = 0
    for segment in range(capacities.size):
        slot = segment * stride
        while slot < segment * stride + capacities[segment] or entries[slot] != _EMPTY:
            entry = entries[slot]
            if entry != _EMPTY:
                longest = max(longest, slot - _home(entry >> _HALF, stride, capacities))
            slot += 1
    return longest
