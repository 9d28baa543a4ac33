"""Requests of the last minute: how many, how many failed, and how long they took."""

from __future__ import annotations

import math
import time
from typing import Callable, Optional, TypedDict

import numpy as np

SECONDS = 60
_PER_DOUBLING = 8  # buckets; a time is known to within 4.5 %
_SHORTEST = 1e-5
_BUCKETS = 24 * _PER_DOUBLING  # up to 168 s

_RATE_SECONDS = 10


class RequestSummary(TypedDict):
    """Requests of the last minute.

    `count` of them; `failed`: answered with 4xx or 5xx; `rate_per_s` over the last ten seconds; `p50_ms`, `p99_ms`:
    milliseconds, None where there were none.
    """

    count: int
    failed: int
    rate_per_s: float
    p50_ms: Optional[float]
    p99_ms: Optional[float]


class RequestWindow:
    """Counts requests by second and by how long they took; memory does not grow with requests.

    Only one thread calls.

    Args:
        clock: seconds that only go up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts = np.zeros((SECONDS, _BUCKETS), np.int64)
        self._failed = np.zeros(SECONDS, np.int64)
        self._second = np.full(SECONDS, -SECONDS, np.int64)  # which second a row is of

    def add(self, seconds: float, failed: bool) -> None:
        """Count a request that took `seconds`."""
        second = int(self._clock())
        at = second % SECONDS
        if self._second[at] != second:
            self._counts[at] = 0
            self._failed[at] = 0
            self._second[at] = second
        bucket = int(_PER_DOUBLING * math.log2(max(seconds, _SHORTEST) / _SHORTEST))
        self._counts[at, min(bucket, _BUCKETS - 1)] += 1
        self._failed[at] += failed

    def summary(self) -> RequestSummary:
        """The last minute."""
        now = int(self._clock())
        recent = self._second > now - SECONDS
        newest = (self._second >= now - _RATE_SECONDS) & (self._second < now)
        counts = self._counts[recent].sum(axis=0)
        count = int(counts.sum())
        below = np.cumsum(counts)

        def percentile(share: float) -> Optional[float]:
            if not count:
                return None
            bucket = int(np.searchsorted(below, share * count))
            return round(1e3 * _SHORTEST * 2 ** ((bucket + 0.5) / _PER_DOUBLING), 3)

        return RequestSummary(
            count=count,
            failed=int(self._failed[recent].sum()),
            rate_per_s=float(self._counts[newest].sum()) / _RATE_SECONDS,
            p50_ms=percentile(0.5),
            p99_ms=percentile(0.99),
        )
