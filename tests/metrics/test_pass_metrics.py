"""Metrics of a pass against those of all its rows at once."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mindspore_rec.metrics import auc, calibration, log_loss, mae, rmse
from mindspore_rec.metrics.pass_metrics import PassMetrics


def rows(seed: int, count: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probabilities = random.beta(2, 5, count)
    probabilities[:2] = 0.0, 1.0
    return (random.random(count) < probabilities * 0.9).astype(np.float32), probabilities


def test_is_what_all_rows_give_at_once() -> None:
    labels, probabilities = rows(1)
    metrics = PassMetrics()
    metrics.update([], [])
    for at in range(0, 5000, 700):
        metrics.update(labels[at : at + 700].reshape(-1, 1), probabilities[at : at + 700])
    found = metrics.summary()
    assert found.rows == 5000
    assert found.auc == pytest.approx(auc(labels, np.floor(probabilities * 4096).clip(0, 4095)), abs=1e-12)
    assert found.mae == pytest.approx(mae(labels, probabilities), rel=1e-12)
    assert found.rmse == pytest.approx(rmse(labels, probabilities), rel=1e-12)
    assert found.actual_ctr == pytest.approx(labels.mean(dtype=np.float64), rel=1e-12)
    assert found.predicted_ctr == pytest.approx(probabilities.mean(), rel=1e-12)
    assert found.copc == pytest.approx(calibration(labels, probabilities), rel=1e-12)
    assert found.log_loss == pytest.approx(log_loss(labels, probabilities), rel=1e-12)


@pytest.mark.parametrize(("label", "probability"), [(0, 1.0), (1, 0.0), (1, 1e-9), (0, 0.0), (1, 0.3)])
def test_log_loss_is_clipped_as_that_of_rows(label: int, probability: float) -> None:
    metrics = PassMetrics()
    metrics.update([label], [probability])
    assert metrics.summary().log_loss == pytest.approx(log_loss([label], [probability]), rel=1e-12)


def test_workers_add() -> None:
    labels, probabilities = rows(2)
    whole, left, right = PassMetrics(), PassMetrics(), PassMetrics()
    whole.update(labels, probabilities)
    left.update(labels[:1234], probabilities[:1234])
    right.update(labels[1234:], probabilities[1234:])
    left.counts += right.counts
    left.sums += right.sums
    assert np.array_equal(left.counts, whole.counts)
    assert left.summary() == pytest.approx(whole.summary(), rel=1e-12)


def test_by_hand() -> None:
    metrics = PassMetrics()
    metrics.update([1, 0, 0, 1], [0.5, 0.5, 0.25, 0.75])
    found = metrics.summary()
    assert (found.actual_ctr, found.predicted_ctr, found.copc, found.mae) == (0.5, 0.5, 1.0, 0.375)
    assert found.auc == 3.5 / 4
    assert found.rmse == math.sqrt((0.25 + 0.25 + 0.0625 + 0.0625) / 4)
    assert found.line() == (
        "AUC=0.875000 BUCKET_ERROR=0.000000 MAE=0.375000 RMSE=0.395285 Actual_CTR=0.500000 Predicted_CTR=0.500000 "
        "COPC=1.000000 Ins number=4"
    )


def test_no_rows_and_one_class() -> None:
    metrics = PassMetrics()
    assert metrics.summary().line().startswith("AUC=0.500000 BUCKET_ERROR=0.000000 MAE=nan RMSE=nan Actual_CTR=nan")
    metrics.update([0], [0.0])
    found = metrics.summary()
    assert (found.rows, found.auc, found.mae) == (1, 0.5, 0.0)
    assert math.isnan(found.copc)
    metrics.reset()
    assert metrics.summary().rows == 0 and not metrics.sums.any()


def test_wrong_rows_count_nothing() -> None:
    metrics = PassMetrics()
    for labels, probabilities in (([2], [0.5]), ([1], [1.5]), ([1], [math.nan]), ([1, 0], [0.5])):
        with pytest.raises(ValueError, match="must"):
            metrics.update(labels, probabilities)
    assert metrics.summary().rows == 0 and not metrics.sums.any()
