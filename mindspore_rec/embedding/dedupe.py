"""The distinct ids of a batch, and where each one occurs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from mindspore_rec.embedding.hashing import mix64


@dataclass(frozen=True)
class DistinctIds:
    """The distinct ids of a flat batch of n ids, in order of first occurrence.

    Attributes:
        ids: int64[u], the distinct ids.
        inverse: int32[n], `ids[inverse]` is the batch.
        counts: int32[u], how often each id occurs.
    """

    ids: np.ndarray
    inverse: np.ndarray
    counts: np.ndarray


def distinct_ids(ids: np.ndarray) -> DistinctIds:
    """Find the distinct ids of `ids` (int64, any shape, read in C order).

    >>> found = distinct_ids(np.array([7, -1, 7, 3]))
    >>> found.ids.tolist(), found.inverse.tolist(), found.counts.tolist()
    ([7, -1, 3], [0, 1, 0, 2], [2, 1, 1])
    """
    flat = np.ascontiguousarray(ids, dtype=np.int64).reshape(-1)
    slots = 16
    while slots < flat.size // 2:
        slots *= 2
    return DistinctIds(*_number(flat, slots))


@njit(cache=True, nogil=True)
def _number(flat, capacity):  # type: ignore[no-untyped-def]
    """Number the ids in order of first occurrence.

    Slots hold number + 1. There are few to begin with, so that they stay in the cache: most batches repeat their ids.
    """
    slots, mask = np.zeros(capacity, dtype=np.int32), np.uint64(capacity - 1)
    unique = np.empty(flat.size, dtype=np.int64)
    counts = np.empty(flat.size, dtype=np.int32)
    inverse = np.empty(flat.size, dtype=np.int32)
    found = 0
    for i in range(flat.size):
        value = flat[i]
        slot = mix64(value) & mask
        while True:
            number = slots[slot] - 1
            if number < 0:
                number = found
                unique[found] = value
                counts[found] = 0
                found += 1
                slots[slot] = found
                if 2 * found > capacity:
                    capacity *= 2
                    slots, mask = _spread(unique, found, capacity), np.uint64(capacity - 1)
                break
            if unique[number] == value:
                break
            slot = (slot + np.uint64(1)) & mask
        inverse[i] = number
        counts[number] += 1
    return unique[:found].copy(), inverse, counts[:found].copy()


@njit(cache=True, nogil=True)
def _spread(unique, found, capacity):  # type: ignore[no-untyped-def]
    """Slots of twice the size for the ids found so far."""
    slots, mask = np.zeros(capacity, dtype=np.int32), np.uint64(capacity - 1)
    for number in range(found):
        slot = mix64(unique[number]) & mask
        while slots[slot]:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = number + 1
    return slots
