from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindspore_rec.metrics import ProgressiveWindow, WindowMetrics, auc, calibration, log_loss

ROWS = 3000


@pytest.fixture
def stream() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    probabilities = random.random(ROWS).round(2)
    return (random.random(ROWS) < probabilities).astype(np.float32), probabilities


def brute_force(labels: np.ndarray, probabilities: np.ndarray) -> tuple[float, float, float]:
    return auc(labels, probabilities), log_loss(labels, probabilities), calibration(labels, probabilities)


@pytest.mark.parametrize("size", [1, 7, 100, 1000, ROWS, ROWS + 1])
@pytest.mark.parametrize("batch", [1, 64, 999, ROWS])
def test_equals_the_metrics_of_the_newest_rows(stream: Any, size: int, batch: int) -> None:
    labels, probabilities = stream
    window = ProgressiveWindow(size)
    check_every = max(1, ROWS // batch // 5)
    for step, start in enumerate(range(0, ROWS, batch)):
        end = min(start + batch, ROWS)
        window.update(labels[start:end].reshape(-1, 1), probabilities[start:end])
        if step % check_every == 0:
            newest = slice(max(0, end - size), end)
            expected = brute_force(labels[newest], probabilities[newest])
            assert (window.auc(), window.log_loss(), window.calibration()) == pytest.approx(expected, nan_ok=True)
            assert (window.first_window() is None) == (end < size)
    assert window.rows == ROWS
    if size <= ROWS:
        first = window.first_window()
        assert first is not None
        assert first.rows == size
        assert first[1:] == pytest.approx(brute_force(labels[:size], probabilities[:size]), nan_ok=True)


@pytest.mark.parametrize("cut", [0, 1, 499, 500, 501, 1777])
def test_continued_from_its_state_equals_uninterrupted(stream: Any, cut: int) -> None:
    labels, probabilities = stream
    whole, before, after = ProgressiveWindow(500), ProgressiveWindow(500), ProgressiveWindow(500)
    whole.update(labels[:cut], probabilities[:cut])
    before.update(labels[:cut], probabilities[:cut])
    state = before.state()
    before.update(labels, probabilities)  # a state is a copy: what comes later does not change it
    after.load_state(state)
    for start in range(cut, ROWS, 130):
        for window in (whole, after):
            window.update(labels[start : start + 130], probabilities[start : start + 130])
        assert after.metrics() == whole.metrics()
    assert after.first_window() == whole.first_window()
    assert after.rows == whole.rows


def test_state_is_numbers_and_arrays() -> None:
    window = ProgressiveWindow(3)
    window.update([1, 0, 1, 1], [0.5, 0.25, 0.75, 1.0])
    state = window.state()
    assert (state["size"], state["rows"]) == (3, 4)
    assert state["labels"].tolist() == [1, 0, 1]
    assert state["labels"].dtype == np.uint8
    assert state["probabilities"].tolist() == [1.0, 0.25, 0.75]
    assert state["first_window"].dtype == np.float64
    assert state["first_window"].shape == (3,)


@pytest.mark.parametrize(
    "change",
    [{"size": 4}, {"rows": 2}, {"rows": -1}, {"labels": np.ones(2)}, {"first_window": np.zeros(0)}],
)
def test_refuses_a_state_that_does_not_fit(change: dict[str, Any]) -> None:
    window = ProgressiveWindow(3)
    window.update([1, 0, 1, 1], [0.5, 0.25, 0.75, 1.0])
    with pytest.raises(ValueError, match=r"metrics window|one length"):
        ProgressiveWindow(3).load_state({**window.state(), **change})


def test_bad_rows_change_nothing() -> None:
    window = ProgressiveWindow(4)
    window.update([1, 0], [0.5, 0.25])
    before = window.state()
    for labels, probabilities in (([1, 2], [0.5, 0.5]), ([1, 0], [0.5, np.nan]), ([1], [0.5, 0.5])):
        with pytest.raises(ValueError, match="must"):
            window.update(labels, probabilities)
    after = window.state()
    assert after["rows"] == 2
    assert np.array_equal(after["probabilities"], before["probabilities"])


def test_an_empty_window() -> None:
    window = ProgressiveWindow()
    window.update([], [])
    assert window.size == 100_000
    assert window.first_window() is None
    assert window.metrics() == WindowMetrics(
        0, 0.5, pytest.approx(np.nan, nan_ok=True), pytest.approx(np.nan, nan_ok=True)
    )
    with pytest.raises(ValueError, match="size must be at least 1"):
        ProgressiveWindow(0)
