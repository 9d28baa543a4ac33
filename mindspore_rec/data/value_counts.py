"""Counts of the distinct values of one category field: open addressing by hash, in 16 bytes an entry plus the value.

An entry is (hash, start of the value << 28 | count); count 0 marks an empty one. A table counts fewer than 2**28 rows
(``MAX_ROWS``), then its content goes to a run file and it starts again. Values lie end to end, each after its size
(3 bytes). Two values of a field with the same 64-bit hash would count as one: with 10**8 values a chance of 1 in 3700.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np
from numba import njit

from mindspore_rec.data.row_scan import span_size, span_start
from mindspore_rec.features.batch import Int64, UInt8, UInt64
from mindspore_rec.features.words import Whole, prefetch

MAX_ROWS = (1 << 28) - 1
_COUNT_BITS = np.uint64(28)
_COUNT_MASK = np.uint64((1 << 28) - 1)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_SIZE_BYTES = 3
_AHEAD = 8  # rows: the loads of so many slots overlap
_MAX_LOAD = 0.6
_FIRST_CAPACITY = 1 << 10


@dataclass(frozen=True, eq=False)
class CountedValues:
    """m distinct values in ascending order of their hashes.

    Attributes:
        hashes: uint64[m], each once.
        counts: int64[m].
        offsets: int64[m + 1], of the values.
        values: uint8[offsets[m]], end to end.
    """

    hashes: UInt64
    counts: Int64
    offsets: Int64
    values: UInt8

    def __len__(self) -> int:
        return len(self.hashes)

    def slice(self, begin: int, end: int) -> CountedValues:
        """Values ``begin`` to ``end``."""
        offsets = self.offsets[begin : end + 1]
        values = self.values[offsets[0] : offsets[-1]]
        return CountedValues(self.hashes[begin:end], self.counts[begin:end], offsets - offsets[0], values)

    def take(self, order: Int64) -> CountedValues:
        """The values at these indexes, in this order (which may break that of the hashes)."""
        offsets, values = take_values(self.values, self.offsets, order)
        return CountedValues(self.hashes[order], self.counts[order], offsets, values)


class ValueCounts:
    r"""Growing table of the values of a field.

    Example:
        >>> from mindspore_rec.data.row_scan import scan_rows
        >>> from mindspore_rec.features.spec import FeatureSpec
        >>> rows = scan_rows(b"1\tred\n0\tblue\n0\tred\n", FeatureSpec(dense_dim=0, slot_dim=1))
        >>> table = ValueCounts()
        >>> table.add(rows.buffer, rows.hashes[0], rows.spans[0])
        >>> content = table.content()
        >>> sorted(content.counts.tolist()), bytes(content.values) in (b"redblue", b"bluered")
        ([1, 2], True)
    """

    def __init__(self) -> None:
        self._entries = np.zeros((_FIRST_CAPACITY, 2), np.uint64)
        self._values = np.empty(1 << 14, np.uint8)
        self.clear()

    def __len__(self) -> int:
        return int(self._size)

    @property
    def nbytes(self) -> int:
        """Memory that what is counted needs; what was counted before may have left more."""
        needed = max(_FIRST_CAPACITY, 1 << int(self._size / _MAX_LOAD).bit_length())
        return 16 * needed + int(self._used)

    def clear(self) -> None:
        """Forget all values; the memory is kept for the next ones, which are likely to be as many."""
        self._entries.fill(0)
        self._size: Whole = 0
        self._used: Whole = 0

    def add(self, buffer: UInt8, hashes: UInt64, spans: UInt64) -> None:
        """Count n values: uint64[n] hashes and spans in ``buffer``, as in ``ScannedRows``."""
        done: Whole = 0
        while done < len(hashes):
            done, self._size, self._used = _add(
                self._entries, self._values, self._size, self._used, buffer, hashes, spans, done
            )
            if done == len(hashes):
                return
            needed = self._used + _SIZE_BYTES + int(span_size(np.uint64(spans[done])))
            if needed > len(self._values):
                self._values = np.concatenate((self._values, np.empty(max(needed, len(self._values)), np.uint8)))
            if self._size + 1 > _MAX_LOAD * len(self._entries):
                entries = np.zeros((2 * len(self._entries), 2), np.uint64)
                _rehash(self._entries, entries)
                self._entries = entries

    def content(self) -> CountedValues:
        """All values with their counts."""
        hashes, packed = np.empty(self._size, np.uint64), np.empty(self._size, np.uint64)
        _sorted_entries(self._entries, hashes, packed)
        offsets, values = _values_of(packed, self._values)
        return CountedValues(hashes, (packed & _COUNT_MASK).astype(np.int64), offsets, values)


@njit(cache=True, nogil=True)
def _add(
    entries: UInt64,
    values: UInt8,
    size: Whole,
    used: Whole,
    buffer: UInt8,
    hashes: UInt64,
    spans: UInt64,
    begin: Whole,
) -> Tuple[Whole, Whole, Whole]:
    """Count values from index ``begin`` on until there is no room for a new one; where it stopped, size and used."""
    mask, shift = np.uint64(len(entries) - 1), _shift(len(entries))
    most = np.int64(_MAX_LOAD * len(entries))
    for i in range(begin, len(hashes)):
        if i % _AHEAD == 0:
            for k in range(i, min(i + _AHEAD, len(hashes))):
                prefetch(entries, np.int64(hashes[k] >> shift) * 2)
        hashed = hashes[i]
        slot = hashed >> shift
        while True:
            place = np.int64(slot)
            packed = entries[place, 1]
            if packed == _ZERO:
                length = span_size(spans[i])
                if size >= most or used + _SIZE_BYTES + length > len(values):
                    return i, size, used
                entries[place, 0] = hashed
                entries[place, 1] = (np.uint64(used) << _COUNT_BITS) | _ONE
                for k in range(_SIZE_BYTES):
                    values[used + k] = (length >> (8 * k)) & 255
                start = span_start(spans[i])
                for k in range(length):
                    values[used + _SIZE_BYTES + k] = buffer[start + k]
                used += _SIZE_BYTES + length
                size += 1
                break
            if entries[place, 0] == hashed:
                entries[place, 1] = packed + _ONE
                break
            slot = (slot + _ONE) & mask
    return len(hashes), size, used


@njit(cache=True, nogil=True)
def _shift(capacity: Whole) -> np.uint64:
    """Places a hash by its highest bits, so that a table lies almost in the order of its hashes."""
    bits = 0
    while (1 << bits) < capacity:
        bits += 1
    return np.uint64(64 - bits)


@njit(cache=True, nogil=True)
def _rehash(old: UInt64, new: UInt64) -> None:
    mask, shift = np.uint64(len(new) - 1), _shift(len(new))
    for i in range(len(old)):
        if old[i, 1] == _ZERO:
            continue
        slot = old[i, 0] >> shift
        while new[np.int64(slot), 1] != _ZERO:
            slot = (slot + _ONE) & mask
        new[np.int64(slot), 0] = old[i, 0]
        new[np.int64(slot), 1] = old[i, 1]


@njit(cache=True, nogil=True)
def _sorted_entries(entries: UInt64, hashes: UInt64, packed: UInt64) -> None:
    """Copy the entries in the order of their hashes, to which they are close: but those the end of the table sent on
    to its beginning, which are taken last, each is a few places from its own."""
    shift = _shift(len(entries))
    count = 0
    for sent_on in (False, True):
        for i in range(len(entries)):
            if entries[i, 1] == _ZERO:
                if sent_on:
                    break
                continue
            if (np.int64(entries[i, 0] >> shift) > i) != sent_on:
                continue
            place = count
            while place > 0 and hashes[place - 1] > entries[i, 0]:
                hashes[place], packed[place] = hashes[place - 1], packed[place - 1]
                place -= 1
            hashes[place], packed[place] = entries[i, 0], entries[i, 1]
            count += 1


@njit(cache=True, nogil=True)
def _values_of(packed: UInt64, stored: UInt8) -> Tuple[Int64, UInt8]:
    offsets = np.zeros(len(packed) + 1, np.int64)
    for i in range(len(packed)):
        start = np.int64(packed[i] >> _COUNT_BITS)
        size = np.int64(stored[start]) | (np.int64(stored[start + 1]) << 8) | (np.int64(stored[start + 2]) << 16)
        offsets[i + 1] = offsets[i] + size
    values = np.empty(offsets[-1], np.uint8)
    for i in range(len(packed)):
        start = np.int64(packed[i] >> _COUNT_BITS) + _SIZE_BYTES
        for k in range(offsets[i + 1] - offsets[i]):
            values[offsets[i] + k] = stored[start + k]
    return offsets, values


@njit(cache=True, nogil=True)
def take_values(values: UInt8, offsets: Int64, order: Int64) -> Tuple[Int64, UInt8]:
    """Offsets and bytes of the values at these indexes, in this order."""
    taken = np.zeros(len(order) + 1, np.int64)
    for i in range(len(order)):
        taken[i + 1] = taken[i] + offsets[order[i] + 1] - offsets[order[i]]
    result = np.empty(taken[-1], np.uint8)
    for i in range(len(order)):
        start = offsets[order[i]]
        for k in range(taken[i + 1] - taken[i]):
            result[taken[i] + k] = values[start + k]
    return taken, result
