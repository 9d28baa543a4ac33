"""Weights of 16 bits: bfloat16 and float16, written with stochastic rounding.

A value between two that 16 bits can hold becomes the nearer one more often, in proportion, so that the mean is kept and
small updates are not lost (Gupta et al. 2015, "Deep Learning with Limited Numerical Precision", section 3). The random
bits are a function of (seed, id, step) alone. What lies beyond the largest value becomes the largest value.

Kernels take float32 values and their bits as uint32, both of the same memory.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mindspore_rec.embedding.hashing import mix64

FLOAT32, BFLOAT16, FLOAT16 = 0, 1, 2
ROW_TYPES = {"float32": FLOAT32, "bfloat16": BFLOAT16, "float16": FLOAT16}

_UP = np.float32(2.0**112)  # from a half's bits read as a float's exponent and fraction, to its value
_SUBNORMAL = np.float32(2.0**-14)
_QUANTA = np.float32(2.0**24)
_LARGEST = np.float32(65504.0)
_FRACTION = np.float32(2.0**-13)
_GAMMA = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True, inline="always")
def decode(half, kind, floats, bits, d):  # type: ignore[no-untyped-def]
    """Write the value of 16 bits to `floats[d]`."""
    h = np.uint32(half)
    if kind == BFLOAT16:
        bits[d] = h << np.uint32(16)
    else:
        bits[d] = ((h & np.uint32(0x7FFF)) << np.uint32(13)) | ((h & np.uint32(0x8000)) << np.uint32(16))
        floats[d] = floats[d] * _UP


@njit(cache=True, nogil=True, inline="always")
def encode(floats, bits, d, kind, random):  # type: ignore[no-untyped-def]
    """Return the 16 bits of `floats[d]`, which is finite; `random` is 16 random bits as uint32."""
    word = bits[d]
    sign = (word >> np.uint32(16)) & np.uint32(0x8000)
    word &= np.uint32(0x7FFFFFFF)
    if kind == BFLOAT16:
        half = (word + random) >> np.uint32(16)
        return np.uint16(sign | min(half, np.uint32(0x7F7F)))
    size = abs(floats[d])
    if size >= _LARGEST:
        half = np.uint32(0x7BFF)
    elif size >= _SUBNORMAL:
        rounded = (word + (random >> np.uint32(3))) >> np.uint32(13)
        half = min(rounded - np.uint32(112 << 10), np.uint32(0x7BFF))
    else:
        half = np.uint32(size * _QUANTA + np.float32(random >> np.uint32(3)) * _FRACTION)
    return np.uint16(sign | half)


@njit(cache=True, nogil=True)
def unpack(halves, rows, dim, kind, floats, bits):  # type: ignore[no-untyped-def]
    """Write the first `dim` halves of some rows to `floats[k, :dim]`."""
    for k in range(rows.size):
        half = halves[rows[k]]
        for d in range(dim):
            decode(half[d], kind, floats[k], bits[k], d)


@njit(cache=True, nogil=True)
def pack(halves, rows, dim, kind, floats, bits, row_ids, seed, step):  # type: ignore[no-untyped-def]
    """Write `floats[k, :dim]` to the first halves of some rows."""
    word = np.uint64(0)
    for k in range(rows.size):
        half = halves[rows[k]]
        state = mix64(mix64(row_ids[rows[k]]) ^ np.uint64(seed)) ^ np.uint64(step)
        for d in range(dim):
            if d % 4 == 0:
                state += _GAMMA
                word = mix64(state)
            half[d] = encode(floats[k], bits[k], d, kind, np.uint32(word & np.uint64(0xFFFF)))
            word >>= np.uint64(16)
