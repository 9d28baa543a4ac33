"""Metrics of a pass or of a day, as sums that workers add, and the line they are logged in."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mindspore_rec.metrics.bucket_auc import BucketAUC
from mindspore_rec.metrics.bucket_error import bucket_error
from mindspore_rec.metrics.columns import binary
from mindspore_rec.metrics.pointwise import log_loss

_LABEL, _PROBABILITY, _ABSOLUTE, _SQUARE, _LOSS = range(5)  # of PassMetrics.sums


class PassSummary(NamedTuple):
    """Metrics of some rows; the means and ratios are nan of no rows, and copc also where nothing was predicted."""

    rows: int
    auc: float
    bucket_error: float
    mae: float
    rmse: float
    actual_ctr: float
    predicted_ctr: float
    copc: float
    log_loss: float

    def line(self) -> str:
        """As PaddleRec logs it.

        >>> metrics = PassMetrics()
        >>> metrics.update([0, 1], [0.25, 0.75])
        >>> metrics.summary().line()  # doctest: +NORMALIZE_WHITESPACE
        'AUC=1.000000 BUCKET_ERROR=0.000000 MAE=0.250000 RMSE=0.250000 Actual_CTR=0.500000 Predicted_CTR=0.500000
        COPC=1.000000 Ins number=2'
        """
        return (
            f"AUC={self.auc:.6f} BUCKET_ERROR={self.bucket_error:.6f} MAE={self.mae:.6f} RMSE={self.rmse:.6f} "
            f"Actual_CTR={self.actual_ctr:.6f} Predicted_CTR={self.predicted_ctr:.6f} COPC={self.copc:.6f} "
            f"Ins number={self.rows}"
        )


class PassMetrics:
    """All metrics of `PassSummary`, in memory that does not grow.

    Workers add what they counted: ``total.counts += other.counts; total.sums += other.sums``, or an AllReduce over
    both. Counts are exact in any order; sums of floats depend on it in their last bits.

    Attributes:
        counts: int64[2, 4096], negatives and positives by bucket of the probability.
        sums: float64[5] of label, probability, |label - probability|, its square, and log loss.
    """

    def __init__(self) -> None:
        self._auc = BucketAUC()
        self.sums: NDArray[np.float64] = np.zeros(5)

    @property
    def counts(self) -> NDArray[np.int64]:
        """See the class."""
        return self._auc.counts

    @counts.setter
    def counts(self, counts: NDArray[np.int64]) -> None:
        self._auc.load_state({"counts": counts})

    def update(self, labels: ArrayLike, probabilities: ArrayLike) -> None:
        """Count rows.

        Args:
            labels: 0 or 1, any shape.
            probabilities: as many, in [0, 1].

        Raises:
            ValueError: where lengths differ, a label is not 0 or 1, or a probability is outside [0, 1]; nothing is
                counted then.
        """
        self._auc.update(labels, probabilities)
        label, probability = binary(labels, probabilities)
        difference = np.abs(label - probability)
        columns = (label, probability, difference, np.square(difference))
        loss = log_loss(label, probability) * label.size if label.size else 0.0
        self.sums += [*(column.sum() for column in columns), loss]

    def summary(self) -> PassSummary:
        """The metrics of all rows so far."""
        rows, sums = self._auc.rows, self.sums
        mean = sums / rows if rows else np.full_like(sums, math.nan)
        return PassSummary(
            rows=rows,
            auc=self._auc.auc(),
            bucket_error=bucket_error(self.counts),
            mae=float(mean[_ABSOLUTE]),
            rmse=math.sqrt(mean[_SQUARE]),
            actual_ctr=float(mean[_LABEL]),
            predicted_ctr=float(mean[_PROBABILITY]),
            copc=float(sums[_LABEL] / sums[_PROBABILITY]) if sums[_PROBABILITY] > 0.0 else math.nan,
            log_loss=float(mean[_LOSS]),
        )

    def reset(self) -> None:
        """Forget all rows."""
        self._auc.reset()
        self.sums[:] = 0.0
