"""Sets of row numbers as bits: one bit a row, in uint8 arrays that all kernels share."""

from __future__ import annotations

import numpy as np
from numba import njit

from mindspore_rec.embedding.memory import reserve


def no_rows(max_rows: int) -> np.ndarray:
    """Return uint8[max_rows / 8], the empty set, which costs memory only where it is written."""
    return reserve(max_rows // 8 + 1, 0, np.uint8, huge=False)


@njit(cache=True, nogil=True)
def put(bits, rows, fresh):  # type: ignore[no-untyped-def]
    """Add rows; write those that were not there to `fresh` and return how many."""
    count = 0
    for r in rows:
        byte, bit = r >> 3, np.uint8(1 << (r & 7))
        if not bits[byte] & bit:
            bits[byte] |= bit
            fresh[count] = r
            count += 1
    return count


@njit(cache=True, nogil=True)
def take(bits, rows, taken):  # type: ignore[no-untyped-def]
    """Remove rows; write those that were there to `taken` and return how many."""
    count = 0
    for r in rows:
        byte, bit = r >> 3, np.uint8(1 << (r & 7))
        if bits[byte] & bit:
            bits[byte] ^= bit
            taken[count] = r
            count += 1
    return count


@njit(cache=True, nogil=True)
def fill(bits, end, absent):  # type: ignore[no-untyped-def]
    """Make the set that of all rows below `end` but those in `absent`."""
    whole = end >> 3
    bits[:whole] = np.uint8(255)
    bits[whole:] = np.uint8(0)
    for r in range(whole << 3, end):
        bits[r >> 3] |= np.uint8(1 << (r & 7))
    for r in absent:
        bits[r >> 3] &= np.uint8(255 - (1 << (r & 7)))


@njit(cache=True, nogil=True)
def members(bits, begin, end, rows):  # type: ignore[no-untyped-def]
    """Write the rows from `begin` (a multiple of 8) to `end`, ascending, that are in the set; return how many."""
    count = 0
    for byte in range(begin >> 3, (end + 7) >> 3):
        word = bits[byte]
        if word:
            for k in range(8):
                if word & np.uint8(1 << k):
                    rows[count] = (byte << 3) + k
                    count += 1
    return count


@njit(cache=True, nogil=True)
def count(bits, end):  # type: ignore[no-untyped-def]
    """How many rows below `end` are in the set."""
    total = 0
    for byte in range((end + 7) >> 3):
        word = np.int64(bits[byte])
        while word:
            word &= word - 1
            total += 1
    return total
