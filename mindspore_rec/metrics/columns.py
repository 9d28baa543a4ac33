"""The two columns every metric takes: labels and scores of the same rows, in the same order."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


def paired(labels: ArrayLike, scores: ArrayLike) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both columns as flat float64 arrays of one length.

    Args:
        labels: any shape, numeric.
        scores: any shape with as many elements, finite.

    Returns:
        float64[n] labels, float64[n] scores.

    Raises:
        ValueError: where the lengths differ or a value is not finite.

    Examples:
        >>> paired([[1], [0]], [0.5, 0.25])
        (array([1., 0.]), array([0.5 , 0.25]))
    """
    label_column, score_column = _column(labels, "labels"), _column(scores, "scores")
    if label_column.size != score_column.size:
        raise ValueError(f"labels and scores must have one length, got {label_column.size} and {score_column.size}")
    return label_column, score_column


def binary(labels: ArrayLike, scores: ArrayLike) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `paired`, with labels that are 0 or 1.

    Raises:
        ValueError: also where a label is neither 0 nor 1.

    Examples:
        >>> binary([2], [0.5])
        Traceback (most recent call last):
        ...
        ValueError: labels must be 0 or 1, got 2
    """
    label_column, score_column = paired(labels, scores)
    wrong = (label_column != 0.0) & (label_column != 1.0)
    if wrong.any():
        raise ValueError(f"labels must be 0 or 1, got {label_column[wrong][0]:g}")
    return label_column, score_column


def _column(values: ArrayLike, name: str) -> NDArray[np.float64]:
    column: NDArray[Any] = np.asarray(values, dtype=np.float64).reshape(-1)
    if not np.isfinite(column).all():
        raise ValueError(f"{name} must be finite, got {column[~np.isfinite(column)][0]}")
    return column
