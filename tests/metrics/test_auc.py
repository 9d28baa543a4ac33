from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.metrics import auc

# Few distinct scores, so that ties are common.
ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 5)), max_size=60)


def brute_force_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    positives, negatives = scores[labels == 1], scores[labels == 0]
    if not positives.size or not negatives.size:
        return 0.5
    wins = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p in positives for n in negatives)
    return wins / (positives.size * negatives.size)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@given(ROWS)
def test_equals_the_count_over_all_pairs(rows: list[tuple[int, int]]) -> None:
    labels, scores = columns(rows)
    assert auc(labels, scores) == pytest.approx(brute_force_auc(labels, scores), abs=1e-12)


@given(ROWS)
def test_depends_on_order_only(rows: list[tuple[int, int]]) -> None:
    labels, scores = columns(rows)
    assert auc(labels, np.exp(scores)) == auc(labels, scores)
    assert auc(labels, -scores) == pytest.approx(1.0 - auc(labels, scores), abs=1e-12)


def test_takes_the_shapes_and_dtypes_of_a_batch() -> None:
    labels = np.array([[0], [1], [1]], dtype=np.float32)
    assert auc(labels, np.array([0.2, 0.2, 0.9], dtype=np.float32)) == 0.75
    assert auc(labels.astype(bool), [0.2, 0.2, 0.9]) == 0.75


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1, 1]])
def test_is_one_half_without_both_classes(labels: list[int]) -> None:
    assert auc(labels, np.linspace(0, 1, len(labels))) == 0.5


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [0.5], "labels and scores must have one length, got 2 and 1"),
        ([0, 0.5], [0.5, 0.5], "labels must be 0 or 1, got 0.5"),
        ([0, 1], [0.5, np.nan], "scores must be finite, got nan"),
        ([0, 1], [0.5, np.inf], "scores must be finite, got inf"),
        ([0, np.nan], [0.5, 0.5], "labels must be finite, got nan"),
    ],
)
def test_refuses_what_has_no_auc(labels: list[float], scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auc(labels, scores)
