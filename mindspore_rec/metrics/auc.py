"""Exact area under the ROC curve.

The Mann-Whitney form: the probability that a random positive scores above a random negative, a tie counting one half
(Hanley and McNeil, 1982).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mindspore_rec.metrics.columns import binary


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Exact AUC of binary labels, in O(n log n).

    Args:
        labels: 0 or 1, any shape and dtype.
        scores: finite, as many; only their order matters.

    Returns:
        The AUC in [0, 1]; 0.5 where one of the classes is missing.

    Raises:
        ValueError: where lengths differ, a label is not 0 or 1, or a score is not finite.

    Examples:
        >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
        >>> auc([1, 0], [0.5, 0.5])
        0.5
        >>> auc([1, 1], [0.2, 0.9])
        0.5
    """
    label_column, score_column = binary(labels, scores)
    order = np.argsort(score_column, kind="stable")
    ordered = score_column[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if ordered.size else np.zeros(0, dtype=np.int64)
    positives = np.add.reduceat(label_column[order], starts) if ordered.size else np.zeros(0)
    sizes = np.diff(np.r_[starts, ordered.size])
    return area(sizes - positives, positives)


def area(negatives: NDArray[np.float64], positives: NDArray[np.float64]) -> float:
    """AUC from the counts of negatives and positives at each score, in ascending order of the score.

    Args:
        negatives: float64[k] counts.
        positives: float64[k] counts.

    Returns:
        The AUC in [0, 1]; 0.5 where one of the classes is missing. This is the trapezoid rule over the ROC curve.

    Examples:
        >>> import numpy as np
        >>> area(np.array([2.0, 0.0]), np.array([0.0, 1.0]))
        1.0
    """
    pairs = float(negatives.sum()) * float(positives.sum())
    if pairs == 0.0:
        return 0.5
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + 0.5 * negatives)).sum()) / pairs
