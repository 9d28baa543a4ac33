from __future__ import annotations

import numpy as np
import pytest

from mindspore_rec.metrics import BucketAUC, auc


def random_rows(seed: int, rows: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probabilities = random.beta(2, 5, rows)
    return (random.random(rows) < probabilities).astype(np.float32), probabilities


def test_is_the_exact_auc_of_the_buckets() -> None:
    labels, probabilities = random_rows(1)
    metric = BucketAUC(buckets=64)
    metric.update(labels, probabilities)
    assert metric.auc() == pytest.approx(auc(labels, np.floor(probabilities * 64)), abs=1e-12)


def test_is_close_to_the_exact_auc_by_default() -> None:
    labels, probabilities = random_rows(2)
    metric = BucketAUC()
    metric.update(labels, probabilities)
    assert metric.auc() == pytest.approx(auc(labels, probabilities), abs=1e-3)


def test_counts_of_workers_add() -> None:
    labels, probabilities = random_rows(3)
    whole, left, right = BucketAUC(), BucketAUC(), BucketAUC()
    whole.update(labels, probabilities)
    left.update(labels[:1234], probabilities[:1234])
    right.update(labels[1234:].reshape(-1, 1), probabilities[1234:])
    left.counts += right.counts
    assert np.array_equal(left.counts, whole.counts)
    assert left.rows == 5000


def test_both_ends_of_the_range_are_counted() -> None:
    metric = BucketAUC(buckets=2)
    metric.update([0, 1, 1], [0.0, 1.0, 0.5])
    assert metric.counts.tolist() == [[1, 0], [0, 2]]


def test_continues_from_its_state() -> None:
    labels, probabilities = random_rows(4)
    first, second = BucketAUC(), BucketAUC()
    first.update(labels[:100], probabilities[:100])
    state = first.state()
    second.load_state(state)
    for metric in (first, second):
        metric.update(labels[100:], probabilities[100:])
    assert np.array_equal(first.counts, second.counts)
    assert state["counts"].sum() == 100
    with pytest.raises(ValueError, match="counts must have shape"):
        BucketAUC(buckets=8).load_state(state)


def test_without_both_classes_and_after_reset() -> None:
    metric = BucketAUC()
    assert metric.auc() == 0.5
    metric.update([1], [0.3])
    assert metric.auc() == 0.5
    metric.reset()
    assert metric.rows == 0


@pytest.mark.parametrize("probability", [-0.01, 1.01, np.nan])
def test_refuses_what_is_no_probability(probability: float) -> None:
    metric = BucketAUC()
    with pytest.raises(ValueError, match="must be"):
        metric.update([0, 1], [0.5, probability])
    assert metric.rows == 0
    with pytest.raises(ValueError, match="buckets must be at least 2"):
        BucketAUC(buckets=1)
