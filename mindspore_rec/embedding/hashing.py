"""Mixing of 64-bit ids: where an id sits in the index and what its first values are."""

from __future__ import annotations

import numpy as np
from numba import njit

_MULTIPLIER_1 = np.uint64(0xFF51AFD7ED558CCD)
_MULTIPLIER_2 = np.uint64(0xC4CEB9FE1A85EC53)
_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(33)
_FRACTION_SHIFT = np.uint64(40)
_FRACTION_SCALE = np.float32(2.0**-23)


@njit(cache=True, nogil=True, inline="always")
def mix64(value):  # type: ignore[no-untyped-def]
    """Murmur3's 64-bit finalizer: a bijection in which each input bit changes half of the output bits."""
    h = np.uint64(value)
    h ^= h >> _SHIFT
    h *= _MULTIPLIER_1
    h ^= h >> _SHIFT
    h *= _MULTIPLIER_2
    return h ^ (h >> _SHIFT)


@njit(cache=True, nogil=True, inline="always")
def fill_uniform(row, dim, seed, row_id, bound):  # type: ignore[no-untyped-def]
    """Write `dim` values of [-bound, bound) that depend on (seed, id) alone: SplitMix64 started at mix(id) ^ seed."""
    state = mix64(row_id) ^ np.uint64(seed)
    for k in range(dim):
        state += _GOLDEN_GAMMA
        fraction = np.float32(mix64(state) >> _FRACTION_SHIFT) * _FRACTION_SCALE  # [0, 2)
        row[k] = np.float32(bound) * (fraction - np.float32(1.0))
