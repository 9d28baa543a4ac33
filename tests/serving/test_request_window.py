"""Requests of the last minute."""

from __future__ import annotations

import numpy as np
import pytest

from mindspore_rec.serving.request_window import RequestWindow


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_nothing_yet() -> None:
    assert RequestWindow(Clock()).summary() == {
        "count": 0, "failed": 0, "rate_per_s": 0.0, "p50_ms": None, "p99_ms": None,
    }  # fmt: skip


def test_percentiles_are_those_of_the_times() -> None:
    times = np.random.default_rng(0).lognormal(-4, 1, 5000)
    window = RequestWindow(Clock())
    for seconds in times:
        window.add(float(seconds), False)
    summary = window.summary()
    assert summary["count"] == 5000
    for share, found in ((0.5, summary["p50_ms"]), (0.99, summary["p99_ms"])):
        assert found == pytest.approx(1e3 * np.quantile(times, share), rel=0.06)


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, 0.01), (1e9, 167_000)])
def test_times_beyond_all_others(seconds: float, shown: float) -> None:
    window = RequestWindow(Clock())
    window.add(seconds, False)
    assert window.summary()["p50_ms"] == pytest.approx(shown, rel=0.06)


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    clock = Clock()
    window = RequestWindow(clock)
    for _ in range(90):
        window.add(0.01, failed=True)
        window.add(0.01, failed=False)
        clock.now += 1
    clock.now -= 1
    summary = window.summary()
    assert (summary["count"], summary["failed"]) == (120, 60)
    clock.now += 59
    assert window.summary()["count"] == 2
    clock.now += 1
    assert window.summary()["count"] == 0
    window.add(0.01, False)
    assert (window.summary()["count"], window.summary()["failed"]) == (1, 0)


def test_the_rate_is_that_of_the_last_whole_seconds() -> None:
    clock = Clock()
    window = RequestWindow(clock)
    for second in range(1000, 1020):
        clock.now = float(second)
        for _ in range(second - 1000):
            window.add(0.01, False)
    assert window.summary()["rate_per_s"] == sum(range(9, 19)) / 10
    clock.now = 1040.0
    assert window.summary()["rate_per_s"] == 0
