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
        starts: int32[u + 1] and
        positions: int32[n]: id k occurs at `positions[starts[k]:starts[k + 1]]`, ascending.
    """

    ids: np.ndarray
    inverse: np.ndarray
    starts: np.ndarray
    positions: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """int32[u]: how often each id occurs."""
        return np.diff(self.starts)


def distinct_ids(ids: np.ndarray) -> DistinctIds:
    """Find the distinct ids of `ids` (int64, any shape, read in C order).

    >>> found = distinct_ids(np.array([7, -1, 7, 3]))
    >>> found.ids.tolist(), found.inverse.tolist(), found.positions.tolist()
    ([7, -1, 3], [0, 1, 0, 2], [0, 2, 1, 3])
    """
    flat = np.ascontiguousarray(ids, dtype=np.int64).reshape(-1)
    slots = 16
    while slots < 2 * flat.size:
        slots *= 2
    unique, inverse, counts = _number(flat, np.zeros(slots, dtype=np.int32))
    starts, positions = _group(inverse, counts)
    return DistinctIds(unique, inverse, starts, positions)


@njit(cache=True, nogil=True)
def _number(flat, slots):  # type: ignore[no-untyped-def]
    """Number the ids in order of first occurrence; `slots` is a zeroed power-of-two table of number + 1."""
    mask = np.uint64(slots.size - 1)
    unique = np.empty(flat.size, dtype=np.int64)
    counts = np.zeros(flat.size, dtype=np.int32)
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
                slots[slot] = found + 1
                found += 1
                break
            if unique[number] == value:
                break
            slot = (slot + np.uint64(1)) & mask
        inverse[i] = number
        counts[number] += 1
    return unique[:found].copy(), inverse, counts[:found]


@njit(cache=True, nogil=True)
def _group(inverse, counts):  # type: ignore[no-untyped-def]
    """Counting sort of the positions by id."""
    starts = np.zeros(counts.size + 1, dtype=np.int32)
    for k in range(counts.size):
        starts[k + 1] = starts[k] + counts[k]
    cursor = starts[:-1].copy()
    positions = np.empty(inverse.size, dtype=np.int32)
    for i in range(inverse.size):
        k = inverse[i]
        positions[cursor[k]] = i
        cursor[k] += 1
    return starts, positions
