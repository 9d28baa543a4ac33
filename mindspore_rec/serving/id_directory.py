"""Where an id is among ascending ones: a directory by the top bits of ids, then a search of the few that share them.

A binary search of tens of millions of ids reads some twenty cache lines of memory one after the other. The directory
has a place for every 4 to 8 ids of random ones, so that a search reads two or three, and those of a block of ids are
asked for before the first is waited for. Ids that crowd together cost the binary search of their bucket, no more.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mindspore_rec.features.words import prefetch

_BUCKET = 8  # ids of a bucket, at most on average where ids are spread evenly
_BLOCK = 64  # ids whose cache lines are asked for together


class IdDirectory:
    """Finds ids; safe from any thread.

    Args:
        ids: int64[r], ascending as unsigned numbers, each once; read once, from the first to the last.

    Raises:
        ValueError: they are not ascending.

    >>> found = np.full(3, -1)
    >>> IdDirectory(np.array([3, 7, -1])).find(np.array([-1, 4, 3]), 100, found)
    >>> found.tolist()
    [102, -1, 100]
    """

    def __init__(self, ids: np.ndarray) -> None:
        self._ids = ids.view(np.uint64)
        count = ids.size
        self._first, span = (int(self._ids[0]), int(self._ids[-1]) - int(self._ids[0])) if count else (0, 0)
        if span < 0:
            raise ValueError("ids are not ascending as unsigned numbers")
        self._shift = min(max(0, span.bit_length() - (count // _BUCKET).bit_length()), 63)
        self._starts = np.empty((span >> self._shift) + 2, np.uint32 if count < 1 << 32 else np.int64)
        if not _fill(self._ids, np.uint64(self._first), np.uint64(self._shift), np.uint64(span), self._starts):
            raise ValueError("ids are not ascending as unsigned numbers")

    @property
    def nbytes(self) -> int:
        """Bytes it takes beside the ids."""
        return int(self._starts.nbytes)

    def find(self, ids: np.ndarray, base: int, found: np.ndarray) -> None:
        """Write where ids are, counted from `base`, to `found`, int64[n]; only where that is negative.

        Args:
            ids: int64[n], contiguous.
            base: the number of the first.
            found: see above; as it is where an id is none of these.
        """
        if self._ids.size:
            shape = np.uint64(self._first), np.uint64(self._shift)
            _find(self._ids, self._starts, *shape, ids.view(np.uint64), base, found)


@njit(cache=True, nogil=True)
def _fill(ids, first, shift, span, starts):  # type: ignore[no-untyped-def]
    """Fill in the first place of each bucket and, behind the last, the end; return whether ids ascend."""
    bucket, before = np.int64(0), first
    for place in range(ids.size):
        id_ = ids[place]
        if (place and id_ <= before) or id_ - first > span:
            return False
        before = id_
        own = np.int64((id_ - first) >> shift)
        while bucket <= own:
            starts[bucket] = place
            bucket += 1
    while bucket < starts.size:
        starts[bucket] = ids.size
        bucket += 1
    return True


@njit(cache=True, nogil=True)
def _find(ids, starts, first, shift, wanted, base, found):  # type: ignore[no-untyped-def]
    span = ids[ids.size - 1] - first
    buckets, lows = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64)
    highs = np.empty(_BLOCK, np.int64)
    for begin in range(0, wanted.size, _BLOCK):
        count = min(_BLOCK, wanted.size - begin)
        for k in range(count):
            distance = wanted[begin + k] - first  # of ids before the first it is beyond the span too
            buckets[k] = -1
            if distance <= span and found[begin + k] < 0:
                buckets[k] = np.int64(distance >> shift)
                prefetch(starts, buckets[k])
        for k in range(count):
            lows[k] = highs[k] = 0
            if buckets[k] >= 0:
                lows[k], highs[k] = np.int64(starts[buckets[k]]), np.int64(starts[buckets[k] + 1])
                prefetch(ids, min(lows[k], ids.size - 1))
                prefetch(ids, max(highs[k] - 1, 0))
        for k in range(count):
            low, size, id_ = lows[k], highs[k] - lows[k], wanted[begin + k]
            if size == 0:
                continue
            while size > 1:
                half = size >> 1
                low += half if ids[low + half] <= id_ else 0
                size -= half
            if ids[low] == id_:
                found[begin + k] = base + low
