"""Figures of the rows that were trained since the last publication, from the predictions made before."""

from __future__ import annotations

import math
from typing import Callable, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from mindspore_rec.metrics.auc import auc
from mindspore_rec.metrics.pointwise import calibration, log_loss
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.serving.publication import BatchTimes
from mindspore_rec.train.window_monitor import sigmoid

_MOST_TIMES = 1024


class Interval(NamedTuple):
    """What was seen between two publications.

    Attributes:
        labels, probabilities: float64[n] of the rows.
        times: of their batches.
        seconds: it lasted.
        rows: trained, n where predictions are known.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    times: Tuple[BatchTimes, ...]
    seconds: float
    rows: int


class IntervalFigures:
    """Gathers what each step saw.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begun, self._rows = clock(), 0
        self._labels: List[np.ndarray] = []
        self._probabilities: List[np.ndarray] = []
        self._times: List[BatchTimes] = []

    def add(self, rows: int, labels: object, logits: object, first: int, last: int) -> None:
        """Take in a step.

        Args:
            rows: trained.
            labels, logits: of these rows, None where they are unknown.
            first, last: when they happened, milliseconds since 1970; -1 where that is unknown.
        """
        self._rows += rows
        if labels is not None and logits is not None:
            self._labels.append(np.asarray(labels, np.float64).ravel())
            self._probabilities.append(sigmoid(np.asarray(logits)).ravel())
        if last >= 0:
            self._times.append(BatchTimes(rows, first, last))
            if len(self._times) > _MOST_TIMES:
                pairs = [_joined(*pair) for pair in zip(self._times[::2], self._times[1::2])]
                self._times = pairs + self._times[2 * len(pairs) :]

    def take(self) -> Interval:
        """What was seen since the last time; then it begins anew."""
        none = np.empty(0)
        taken = Interval(
            np.concatenate([none, *self._labels]),
            np.concatenate([none, *self._probabilities]),
            tuple(self._times),
            self._clock() - self._begun,
            self._rows,
        )
        self._begun, self._rows = self._clock(), 0
        self._labels, self._probabilities, self._times = [], [], []
        return taken


def figures_of(interval: Interval, window: ProgressiveWindow, others: Mapping[str, float]) -> Dict[str, float]:
    """Return the figures of a publication by name; those that are unknown are left out.

    Args:
        interval: since the last one.
        window: the newest rows.
        others: figures that are there as they are.
    """
    found: Dict[str, float] = {"rows": float(interval.rows), **others}
    if interval.seconds > 0:
        found["samples_per_s"] = interval.rows / interval.seconds
    if interval.labels.size:
        found["clicks"] = float(interval.labels.sum())
        found["log_loss"] = log_loss(interval.labels, interval.probabilities)
        found["calibration"] = calibration(interval.labels, interval.probabilities)
        if 0 < interval.labels.mean() < 1:
            found["auc"] = auc(interval.labels, interval.probabilities)
    if window.rows:
        newest = window.metrics()
        found.update(window_auc=newest.auc, window_log_loss=newest.log_loss, window_calibration=newest.calibration)
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _joined(one: BatchTimes, other: BatchTimes) -> BatchTimes:
    return BatchTimes(one.rows + other.rows, min(one.first, other.first), max(one.last, other.last))
