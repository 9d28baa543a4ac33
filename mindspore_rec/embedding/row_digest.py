"""The content digest of rows: a sum over them, so that their order means nothing and a changed row adds a difference.

A row counts as 32-bit words: id (low word first), what is kept of it (weights, slots), statistics. Its hash is the sum
of each word times an odd 64-bit constant of its place, mixed; the digest is the sum of the hashes modulo 2**64. Sums of
products with odd constants are multilinear hashing (Lemire and Kaser, "Strongly universal string hashing is fast").
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mindspore_rec.embedding.hashing import mix64
from mindspore_rec.features.words import prefetch

MODULUS = 1 << 64
STATISTICS_WORDS = 4
_AHEAD = 16
_GOLDEN = 0x9E3779B97F4A7C15


def place_factors(width: int) -> np.ndarray:
    """Return uint64[2 + width + 4], the odd constants of a row of `width` words: mixed multiples of 2**64 / phi."""
    places = np.arange(1, 2 + width + STATISTICS_WORDS + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    factors: np.ndarray = _mixed(places) | np.uint64(1)
    return factors


def digest(ids: np.ndarray, words: np.ndarray, statistics: np.ndarray) -> int:
    """Return the digest of rows, 0 to 2**64 - 1.

    Args:
        ids: int64[n].
        words: uint32[n, w].
        statistics: uint32[n, 4]; uint32[0, 4] where none are kept.

    >>> ids, words, none = np.array([7, 9]), np.array([[1], [2]], np.uint32), np.empty((0, 4), np.uint32)
    >>> digest(ids, words, none) == digest(ids[::-1], words[::-1], none)
    True
    >>> digest(ids, words, none) == digest(ids, words[::-1], none)
    False
    """
    rows, factors = np.arange(ids.size, dtype=np.int32), place_factors(words.shape[1])
    ids, words, statistics = (np.ascontiguousarray(array) for array in (ids, words, statistics))
    return int(digest_rows(ids, words, statistics, rows, 0, ids.size, factors))


@njit(cache=True, nogil=True)
def digest_rows(ids, words, statistics, rows, begin, end, factors):  # type: ignore[no-untyped-def]
    """Sum of the hashes of `rows[begin:end]` of arrays by row number, modulo 2**64."""
    total, width = np.uint64(0), words.shape[1]
    kept, flat = statistics.shape[0] > 0, words.reshape(-1)
    for k in range(begin, end):
        if width and k + _AHEAD < end:
            prefetch(flat, np.int64(rows[k + _AHEAD]) * width)
        total += _hash(ids, words, statistics, rows[k], width, kept, factors)
    return total


@njit(cache=True, nogil=True, inline="always")
def _hash(ids, words, statistics, r, width, kept, factors):  # type: ignore[no-untyped-def]
    id_ = np.uint64(ids[r])
    row_hash = (id_ & np.uint64(0xFFFFFFFF)) * factors[0] + (id_ >> np.uint64(32)) * factors[1]
    row = words[r]
    for j in range(width):
        row_hash += np.uint64(row[j]) * factors[2 + j]
    if kept:
        for j in range(STATISTICS_WORDS):
            row_hash += np.uint64(statistics[r, j]) * factors[2 + width + j]
    return mix64(row_hash)


@njit(cache=True)
def _mixed(values: Any) -> Any:
    mixed = np.empty_like(values)
    for k in range(values.size):
        mixed[k] = mix64(values[k])
    return mixed
