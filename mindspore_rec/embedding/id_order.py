"""Ids in order, as unsigned numbers: a radix sort, a byte at a time from the lowest on."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numba import njit

_VALUES = 256  # of a byte
_BYTE = np.uint64(0xFF)


def sort_ids(ids: np.ndarray, places: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Return int64[n] ids ascending as unsigned numbers, and int32[n], `places` in the same order.

    Equal ids stay in the order they are in.

    >>> ids, places = sort_ids(np.array([5, -1, 3]), np.arange(3, dtype=np.int32))
    >>> ids.tolist(), places.tolist()
    ([3, 5, -1], [2, 0, 1])
    """
    keys, carried = _sort(np.ascontiguousarray(ids).view(np.uint64), np.ascontiguousarray(places, np.int32))
    return keys.view(np.int64), carried


@njit(cache=True, nogil=True)
def _sort(keys, carried):  # type: ignore[no-untyped-def]
    buffers = [(np.empty_like(keys), np.empty_like(carried)), (np.empty_like(keys), np.empty_like(carried))]
    counts = np.zeros((8, _VALUES), np.int64)
    for key in keys:
        for byte in range(8):
            counts[byte, (key >> np.uint64(8 * byte)) & _BYTE] += 1
    passes = 0
    for byte in range(8):
        shift = np.uint64(8 * byte)
        if keys.size == 0 or counts[byte, (keys[0] >> shift) & _BYTE] == keys.size:
            continue  # all ids have the same byte here
        begin, ends = 0, counts[byte]
        for value in range(_VALUES):
            begin, ends[value] = begin + ends[value], begin
        sorted_keys, sorted_carried = buffers[passes % 2]
        passes += 1
        for k in range(keys.size):
            value = (keys[k] >> shift) & _BYTE
            place = ends[value]
            ends[value] = place + 1
            sorted_keys[place], sorted_carried[place] = keys[k], carried[k]
        keys, carried = sorted_keys, sorted_carried
    return keys, carried
