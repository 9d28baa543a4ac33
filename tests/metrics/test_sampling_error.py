"""Standard errors against what drawing many samples gives."""

import math

import numpy as np
import pytest

from mindspore_rec.metrics import auc, calibration, log_loss
from mindspore_rec.metrics.sampling_error import auc_error, calibration_error, least_rate, log_loss_error


def samples(rows, center, spread, count=150):
    """Labels and right predictions of many intervals."""
    rng = np.random.default_rng(5)
    for _ in range(count):
        probabilities = 1 / (1 + np.exp(-rng.normal(center, spread, rows)))
        yield (rng.random(rows) < probabilities).astype(float), probabilities


@pytest.mark.parametrize(("center", "spread"), [(-1.0, 1.0), (-3.0, 1.0), (0.0, 0.3)])
def test_errors_are_about_what_samples_show(center, spread):
    found = np.array(
        [(auc(y, p), log_loss(y, p), calibration(y, p), y.mean()) for y, p in samples(1000, center, spread)]
    )
    mean, deviation = found.mean(axis=0), found.std(axis=0)
    rate = mean[3]
    errors = (
        auc_error(mean[0], 1000 * rate, 1000 * (1 - rate)),
        log_loss_error(rate, 1000),
        calibration_error(mean[2], rate, 1000),
    )
    ratios = np.array(errors) / deviation[:3]
    assert (ratios > 0.75).all()
    assert (ratios[[0, 2]] < 1.6).all()  # that of log loss is an upper bound


def test_errors_fall_with_the_root_of_rows():
    assert auc_error(0.7, 300, 700) / auc_error(0.7, 30_000, 70_000) == pytest.approx(10, rel=0.01)
    assert log_loss_error(0.3, 10) / log_loss_error(0.3, 1000) == pytest.approx(10)
    assert calibration_error(1.0, 0.3, 10) / calibration_error(1.0, 0.3, 1000) == pytest.approx(10)


def test_where_nothing_can_be_said_errors_are_large():
    assert auc_error(0.7, 0, 1000) == auc_error(0.7, 1000, 0) == auc_error(0.5, 1, 1) == 0.5
    assert calibration_error(1.0, 0.0, 1000) == math.inf
    assert log_loss_error(0.0, 1000) == 0.0


@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0])
def test_the_least_rate_is_at_most_the_true_one(spread):
    for y, p in samples(20_000, -1.5, spread, count=3):
        assert 0 < least_rate(log_loss(y, p)) <= y.mean() * 1.02
