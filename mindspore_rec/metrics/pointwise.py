"""Metrics that are a mean over rows: log loss, calibration, mean absolute and root mean square error."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mindspore_rec.metrics.columns import binary, paired

#: Probabilities are clipped to [CLIP, 1 - CLIP] before a logarithm; float32 still tells 1 - CLIP from 1.
CLIP = 1e-7


def log_loss(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean negative log likelihood, in nats: ``-mean(y log p + (1 - y) log(1 - p))``.

    Args:
        labels: 0 or 1, any shape.
        probabilities: finite, as many; clipped to [1e-7, 1 - 1e-7].

    Returns:
        The mean; nan of no rows.

    Raises:
        ValueError: where lengths differ, a label is not 0 or 1, or a probability is not finite.

    Examples:
        >>> round(log_loss([0, 1], [0.5, 0.5]), 6)
        0.693147
    """
    label_column, probability_column = binary(labels, probabilities)
    if not label_column.size:
        return float("nan")
    clipped = np.clip(probability_column, CLIP, 1.0 - CLIP)
    likelihood = np.where(label_column == 1.0, np.log(clipped), np.log1p(-clipped))
    return float(-likelihood.mean())


def calibration(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """COPC, clicks over predicted clicks: ``sum(y) / sum(p)`` (Graepel et al., 2010). 1 is calibrated, above 1 predicts
    too few clicks.

    Args:
        labels: 0 or 1, any shape.
        probabilities: finite, as many.

    Returns:
        The ratio; nan where the predictions sum to 0.

    Raises:
        ValueError: where lengths differ, a label is not 0 or 1, or a probability is not finite.

    Examples:
        >>> calibration([0, 1, 0, 0], [0.25, 0.5, 0.125, 0.125])
        1.0
    """
    label_column, probability_column = binary(labels, probabilities)
    predicted = float(probability_column.sum())
    return float(label_column.sum()) / predicted if predicted != 0.0 else float("nan")


def mae(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Mean absolute error ``mean(|y - p|)``; labels may be any finite number; nan of no rows.

    Raises:
        ValueError: where lengths differ or a value is not finite.

    Examples:
        >>> mae([1.0, 2.0], [1.5, 2.0])
        0.25
    """
    label_column, prediction_column = paired(labels, predictions)
    return float(np.abs(label_column - prediction_column).mean()) if label_column.size else float("nan")


def rmse(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Root mean square error ``sqrt(mean((y - p)^2))``; labels may be any finite number; nan of no rows.

    Raises:
        ValueError: where lengths differ or a value is not finite.

    Examples:
        >>> rmse([1.0, 2.0], [1.0, 4.0]) == 2 ** 0.5
        True
    """
    label_column, prediction_column = paired(labels, predictions)
    return float(np.sqrt(np.square(label_column - prediction_column).mean())) if label_column.size else float("nan")
