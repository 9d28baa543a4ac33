from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.metrics import calibration, log_loss, mae, rmse

ROWS = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=50)


@given(ROWS)
def test_log_loss_is_the_mean_over_rows(rows: list[tuple[int, float]]) -> None:
    total = 0.0
    for label, probability in rows:
        clipped = min(max(probability, 1e-7), 1 - 1e-7)
        total -= math.log(clipped if label else 1 - clipped)
    assert log_loss(*zip(*rows)) == pytest.approx(total / len(rows), rel=1e-9)


def test_log_loss_of_certain_errors_is_finite() -> None:
    assert log_loss([0, 1], np.array([1, 0], dtype=np.float32)) == pytest.approx(-math.log(1e-7), rel=1e-6)


@given(ROWS)
def test_calibration_is_clicks_over_predicted_clicks(rows: list[tuple[int, float]]) -> None:
    labels, probabilities = zip(*rows)
    predicted = math.fsum(probabilities)
    if predicted == 0.0:
        assert math.isnan(calibration(labels, probabilities))
    else:
        assert calibration(labels, probabilities) == pytest.approx(sum(labels) / predicted, rel=1e-9)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=50))
def test_errors_are_means_over_rows(rows: list[tuple[float, float]]) -> None:
    errors = [label - prediction for label, prediction in rows]
    absolute = sum(abs(error) for error in errors) / len(rows)
    square = sum(error * error for error in errors) / len(rows)
    assert mae(*zip(*rows)) == pytest.approx(absolute, rel=1e-9)
    assert rmse(*zip(*rows)) == pytest.approx(math.sqrt(square), rel=1e-9)


@pytest.mark.parametrize("metric", [log_loss, calibration, mae, rmse])
def test_no_rows_is_nan_and_non_finite_is_refused(metric: object) -> None:
    assert callable(metric)
    assert math.isnan(metric([], []))
    with pytest.raises(ValueError, match="one length"):
        metric([1], [0.5, 0.5])
    with pytest.raises(ValueError, match="finite"):
        metric([1], [np.nan])
