"""Bucket error: how far predicted rates are from actual ones, from the histogram of `BucketAUC`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SPAN = 0.01  # of the predicted rate within a group of buckets
_ERROR_BOUND = 0.05  # relative standard error below which a group has rows enough


def bucket_error(counts: NDArray[Any]) -> float:
    """Mean relative error of the predicted rate, over groups of buckets with rows enough to tell the actual rate.

    Neighbouring buckets are taken together until the relative standard error of their predicted rate p over n rows,
    sqrt((1 - p) / (p n)), is below 0.05; a group that spans more than 0.01 of the rate before that is dropped. The
    error of a group is |actual / p - 1|, weighted by its rows. Paddle's BasicAucCalculator::calculate_bucket_error,
    which takes the lower end of a bucket as its rate.

    Args:
        counts: [2, buckets] negatives and positives, as in `BucketAUC.counts`.

    Returns:
        The error; 0 where no group has rows enough.

    Examples:
        >>> counts = np.zeros((2, 4), dtype=np.int64)
        >>> counts[:, 2] = 4000, 6000  # predicted 0.5, clicked 0.6
        >>> round(bucket_error(counts), 6)
        0.2
    """
    rates = np.arange(counts.shape[1]) / counts.shape[1]
    error = weight = 0.0
    group_rate = -1.0  # lowest rate of the group, -1 before there is one
    rows = predicted = clicks = 0.0
    for rate, negatives, positives in zip(rates.tolist(), counts[0].tolist(), counts[1].tolist()):
        if abs(rate - group_rate) > _SPAN:
            group_rate, rows, predicted, clicks = rate, 0.0, 0.0, 0.0
        rows += negatives + positives
        predicted += rate * (negatives + positives)
        clicks += positives
        if predicted > 0.0 and (rows - predicted) / (predicted * rows) < _ERROR_BOUND**2:
            error += abs(clicks / predicted - 1.0) * rows
            weight += rows
            group_rate = -1.0
    return error / weight if weight else 0.0
