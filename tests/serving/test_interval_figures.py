"""Figures of the rows between two publications."""

import numpy as np
import pytest

from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.serving.interval_figures import IntervalFigures, figures_of
from mindspore_rec.serving.publication import BatchTimes


class Clock:
    now = 10.0

    def __call__(self):
        return self.now


def gathered(*steps):
    clock = Clock()
    interval = IntervalFigures(clock)
    for step in steps:
        interval.add(*step)
    clock.now = 12.0
    return interval


def test_figures_are_those_of_all_rows():
    labels, logits = np.array([[1.0], [0.0]]), np.array([[2.0], [-2.0]])
    interval = gathered((2, labels, logits, 1000, 2000), (2, labels, -logits, 500, 2500)).take()
    assert interval.times == (BatchTimes(2, 1000, 2000), BatchTimes(2, 500, 2500))
    window = ProgressiveWindow(10)
    window.update([1, 0], [0.9, 0.1])
    found = figures_of(interval, window, {"lag_messages": 3.0, "unknown": float("nan")})
    assert (found["rows"], found["samples_per_s"], found["auc"], found["clicks"]) == (4.0, 2.0, 0.5, 2.0)
    assert found["calibration"] == pytest.approx(1.0)
    assert (found["window_auc"], found["lag_messages"]) == (1.0, 3.0)
    assert "unknown" not in found


def test_what_is_not_known_is_left_out():
    interval = gathered((5, None, None, -1, -1)).take()
    assert interval.times == ()
    assert figures_of(interval, ProgressiveWindow(10), {}) == {"rows": 5.0, "samples_per_s": 2.5}
    only_clicks = gathered((1, np.ones((1, 1)), np.zeros((1, 1)), -1, -1)).take()
    assert "auc" not in figures_of(only_clicks, ProgressiveWindow(10), {})


def test_it_begins_anew():
    interval = gathered((5, None, None, 7, 8))
    assert interval.take().rows == 5
    assert interval.take() == (pytest.approx(np.empty(0)), pytest.approx(np.empty(0)), (), 0.0, 0)


def test_times_of_many_batches_are_joined():
    interval = gathered(*((1, None, None, k, k + 1) for k in range(5000)))
    times = interval.take().times
    assert len(times) <= 1024
    assert sum(found.rows for found in times) == 5000
    assert (times[0].first, times[-1].last) == (0, 5000)
