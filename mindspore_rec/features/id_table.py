"""A frozen map from hashed category values to ids: one open-addressing table a field, at most half full.

An entry is 16 bytes, hash and id + 1 (0: empty), so a probe is one cache line; a table a field keeps the small
fields, which most lookups go to, together in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Int32, Int64, UInt64
from mindspore_rec.features.words import Whole, prefetch

_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_BLOCK = 4  # rows: enough for misses to overlap, few enough that the cache keeps what they brought


@dataclass(frozen=True, eq=False)
class IdTable:
    """Tables of all category fields, end to end.

    Attributes:
        entries: uint64[slots, 2], hash and id + 1.
        first: int64[slot_dim], first slot of each field.
        mask: uint64[slot_dim], slots of each field - 1; a field has a power of two of them.
        unknown: int64[slot_dim], id of a value that is not in the field's table.
    """

    entries: UInt64
    first: Int64
    mask: UInt64
    unknown: Int64

    @staticmethod
    def empty() -> IdTable:
        """A table of no fields, what a kernel is given under rule hash-v1."""
        none = np.empty(0, np.int64)
        return IdTable(np.empty((0, 2), np.uint64), none, none.view(np.uint64), none)


@njit(cache=True, nogil=True)
def _insert(entries: UInt64, first: Int64, mask: UInt64, hashes: UInt64, fields: Int32, ids: Int64) -> int:
    """Fill the table; the index of the first value whose hash its field already holds, or -1."""
    for i in range(len(hashes)):
        field = fields[i]
        slot = hashes[i] & mask[field]
        while True:
            place = first[field] + np.int64(slot)
            if entries[place, 1] == _ZERO:
                break
            if entries[place, 0] == hashes[i]:
                return i
            slot = (slot + _ONE) & mask[field]
        entries[place, 0] = hashes[i]
        entries[place, 1] = np.uint64(ids[i]) + _ONE
    return -1


@njit(cache=True, nogil=True)
def lookup(entries: UInt64, first: Whole, mask: np.uint64, unknown: Whole, hashed: np.uint64) -> Whole:
    """Id of one hash in one field's table."""
    slot = hashed & mask
    while True:
        place = first + np.int64(slot)
        stored = entries[place, 1]
        if stored == _ZERO:
            return unknown
        if entries[place, 0] == hashed:
            return np.int64(stored - _ONE)
        slot = (slot + _ONE) & mask


@njit(cache=True, nogil=True)
def lookup_rows(entries: UInt64, first: Int64, mask: UInt64, unknown: Int64, ids: Int64) -> None:
    """Replace hashes by ids, in place, in ``ids`` int64[n, slot_dim].

    The first loop over a block of rows asks the cache for the home slots of all hashes, so the misses overlap; the
    other one finds them there.
    """
    for start in range(0, len(ids), _BLOCK):
        stop = min(start + _BLOCK, len(ids))
        for r in range(start, stop):
            for field in range(len(first)):
                prefetch(entries, 2 * (first[field] + np.int64(np.uint64(ids[r, field]) & mask[field])))
        for r in range(start, stop):
            for field in range(len(first)):
                hashed = np.uint64(ids[r, field])
                ids[r, field] = lookup(entries, first[field], mask[field], unknown[field], hashed)


def build_table(hashes: UInt64, fields: Int32, ids: Int64, unknown: Int64) -> Tuple[IdTable, int]:
    """Table of n values, and the index of a value whose hash collides with an earlier one of its field, -1 if none.

    Args:
        hashes: uint64[n].
        fields: int32[n], category field of each value.
        ids: int64[n], not negative.
        unknown: int64[slot_dim], id of unknown values of each field.
    """
    counts = np.bincount(fields, minlength=len(unknown))
    sizes = np.array([1 << (2 * int(count)).bit_length() for count in counts], np.int64)
    first = np.cumsum(sizes) - sizes
    entries = np.empty((int(sizes.sum()), 2), np.uint64)  # numpy asks for huge pages here, not in zeros
    entries.fill(0)
    mask = (sizes - 1).astype(np.uint64)
    collision = int(_insert(entries, first, mask, hashes, fields, ids))
    return IdTable(entries, first, mask, unknown), collision
