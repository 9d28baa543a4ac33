"""Bucket error against a plain restatement of Paddle's rule, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mindspore_rec.metrics.bucket_auc import BucketAUC
from mindspore_rec.metrics.bucket_error import bucket_error


def plain(counts: np.ndarray) -> float:
    """Groups first, then their errors; Paddle's names."""
    size = counts.shape[1]
    groups, start, i = [], None, 0
    while i < size:
        if start is None or abs(i / size - start / size) > 0.01:
            start = i
        inside = range(start, i + 1)
        shows = [int(counts[:, j].sum()) for j in inside]
        impression = sum(shows)
        rate = sum(j / size * show for j, show in zip(inside, shows)) / impression if impression else 0.0
        if rate > 0 and math.sqrt((1 - rate) / (rate * impression)) < 0.05:
            groups.append((impression, rate, sum(int(counts[1, j]) for j in inside) / impression))
            start = None
        i += 1
    total = sum(impression for impression, _, _ in groups)
    return sum(abs(actual / rate - 1) * impression for impression, rate, actual in groups) / total if total else 0.0


@pytest.mark.parametrize("rows", [100, 3000, 200000])
@pytest.mark.parametrize("seed", [1, 2])
def test_as_the_rule_says(rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    predicted = random.beta(2, 9, rows)
    metric = BucketAUC()
    metric.update(random.random(rows) < np.minimum(predicted * 1.3, 1), predicted)
    assert bucket_error(metric.counts) == pytest.approx(plain(metric.counts), rel=1e-9)


def test_by_hand() -> None:
    counts = np.zeros((2, 1000), np.int64)
    counts[:, 496] = 60, 40  # 100 rows: standard error 0.1, too few alone; groups begin at 0, 11, 22 ... 495
    counts[:, 500] = 150, 350  # 600 rows with them: 299.6 predicted clicks, 390 real ones
    counts[:, 900] = 3, 7  # too few, and nothing near
    assert bucket_error(counts) == pytest.approx(390 / 299.6 - 1)


def test_a_group_that_spans_too_much_is_dropped() -> None:
    counts = np.zeros((2, 100), np.int64)
    counts[0, 50] = counts[0, 52] = counts[0, 54] = 300
    assert bucket_error(counts) == 0.0
    counts[0, 54] = 500
    assert bucket_error(counts) == 1.0


def test_nothing_is_no_error() -> None:
    assert bucket_error(np.zeros((2, 4096), np.int64)) == 0.0
    lowest = np.zeros((2, 4096), np.int64)
    lowest[1, 0] = 1000  # predicted 0: a relative error has no meaning
    assert bucket_error(lowest) == 0.0
