"""How long it takes from an event to answers by what was learned of it."""

from __future__ import annotations

import threading
from collections import deque
from typing import Deque, Sequence, Tuple

import numpy as np

from mindspore_rec.serving.publication import BatchTimes

_POINTS = 8  # of a batch, whose rows count as evenly spread between its first and last


class ClickToServable:
    """Quantiles of `click_to_servable_seconds` over the rows of the newest publications.

    Args:
        publications: how many of them count.

    >>> freshness = ClickToServable()
    >>> freshness.servable([BatchTimes(100, 1000, 1000)], 3.5)
    >>> freshness.quantiles()
    (2.5, 2.5)
    """

    def __init__(self, publications: int = 100) -> None:
        self._lock = threading.Lock()
        self._seconds: Deque[Tuple[np.ndarray, np.ndarray]] = deque(maxlen=publications)

    def servable(self, times: Sequence[BatchTimes], now: float) -> None:
        """Rows of these times are servable from `now` on, in seconds since 1970."""
        if not times:
            return
        rows, first, last = (np.array(column, np.float64) for column in zip(*times))
        places = (np.arange(_POINTS) + 0.5) / _POINTS
        when = first[:, None] + (last - first)[:, None] * places
        with self._lock:
            self._seconds.append((now - when.ravel() / 1000, np.repeat(rows / _POINTS, _POINTS)))

    def quantiles(self) -> Tuple[float, float]:
        """Median and 99th percentile; NaN where nothing is known."""
        with self._lock:
            known = list(self._seconds)
        if not known:
            return float("nan"), float("nan")
        seconds, rows = (np.concatenate(column) for column in zip(*known))
        order = np.argsort(seconds)
        share = np.cumsum(rows[order])
        places = np.searchsorted(share, np.array([0.5, 0.99]) * share[-1])
        p50, p99 = seconds[order][np.minimum(places, seconds.size - 1)]
        return float(p50), float(p99)
