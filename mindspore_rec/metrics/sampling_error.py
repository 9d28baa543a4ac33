"""How far figures of a few rows are from those of many, by chance alone: standard errors."""

from __future__ import annotations

import math

#: The rate of clicks whose log loss varies most from row to row: 0.4392 nats squared.
_LOUDEST_RATE = 0.0832


def auc_error(auc: float, clicks: float, others: float) -> float:
    """Standard error of an AUC (Hanley and McNeil, 1982, with their exponential approximation).

    Args:
        auc: what is expected, in [0, 1].
        clicks: rows with label 1.
        others: rows with label 0.

    Returns:
        The error, at most 0.5; 0.5 too where one of the classes is missing.

    Examples:
        >>> round(auc_error(0.75, 1500, 3500), 4)
        0.008
    """
    if clicks < 1 or others < 1:
        return 0.5
    two_clicks = auc / (2.0 - auc) - auc * auc
    two_others = 2.0 * auc * auc / (1.0 + auc) - auc * auc
    variance = (auc * (1.0 - auc) + (clicks - 1) * two_clicks + (others - 1) * two_others) / (clicks * others)
    return min(math.sqrt(max(variance, 0.0)), 0.5)


def log_loss_error(rate: float, rows: float) -> float:
    """Standard error of a mean log loss, in nats, of predictions around a rate of clicks.

    A row's varies by ``p (1 - p) ln^2(p / (1 - p))`` where the prediction p is right. That is largest at p = 0.083,
    which stands for all rates above: predictions are spread, and near 0.5 the formula knows of no variation.

    Args:
        rate: of clicks that is expected, in [0, 1].
        rows: there are, at least 1.

    Examples:
        >>> round(log_loss_error(0.3, 10_000), 5)
        0.00663
    """
    p = min(rate, 1.0 - rate, _LOUDEST_RATE)
    return math.sqrt(p * (1.0 - p)) * abs(math.log(p / (1.0 - p))) / math.sqrt(rows) if p > 0 else 0.0


def calibration_error(calibration: float, rate: float, rows: float) -> float:
    """Standard error of clicks over predicted clicks: that of a binomial count.

    Args:
        calibration: what is expected.
        rate: of clicks that is expected, in [0, 1].
        rows: there are, at least 1.

    Returns:
        The error; infinite where no click is expected.

    Examples:
        >>> round(calibration_error(1.0, 0.2, 10_000), 3)
        0.02
    """
    return calibration * math.sqrt((1.0 - rate) / (rate * rows)) if rate > 0 else math.inf


def least_rate(log_loss: float) -> float:
    """The least rate of clicks whose mean log loss can be this where predictions are right, in [0, 0.5].

    A model that knows more than the rate has a lower log loss than one that knows only this. So a figure's error at
    this rate is no smaller than at the true one.

    Args:
        log_loss: in nats.

    Examples:
        >>> round(least_rate(0.5), 3)
        0.2
        >>> least_rate(0.0), least_rate(1.0)
        (0.0, 0.5)
    """
    low, high = 0.0, 0.5
    for _ in range(50):
        middle = (low + high) / 2
        if _entropy(middle) < log_loss:
            low = middle
        else:
            high = middle
    return high if log_loss > 0 else 0.0


def _entropy(p: float) -> float:
    return -p * math.log(p) - (1.0 - p) * math.log1p(-p)
