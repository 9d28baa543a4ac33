"""Mixing of 64-bit ids: where an id sits in the index, and what is drawn for it."""

from __future__ import annotations

import numpy as np
from numba import njit

_MULTIPLIER_1 = np.uint64(0xFF51AFD7ED558CCD)
_MULTIPLIER_2 = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)


@njit(cache=True, nogil=True, inline="always")
def mix64(value):  # type: ignore[no-untyped-def]
    """Murmur3's 64-bit finalizer: a bijection in which each input bit changes half of the output bits."""
    h = np.uint64(value)
    h ^= h >> _SHIFT
    h *= _MULTIPLIER_1
    h ^= h >> _SHIFT
    h *= _MULTIPLIER_2
    return h ^ (h >> _SHIFT)
