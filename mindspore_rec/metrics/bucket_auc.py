"""AUC from a histogram of probabilities: fixed memory for any number of rows, and additive over workers."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mindspore_rec.metrics.auc import area
from mindspore_rec.metrics.columns import binary


class BucketAUC:
    """Counts of negatives and positives in equal buckets of the probability.

    Rows in one bucket count as ties, so the result equals the exact AUC of the bucket numbers. Counts of several
    workers add: ``total.counts += other.counts`` or an AllReduce over ``counts``.

    Args:
        buckets: number of buckets over [0, 1].

    Attributes:
        counts: int64[2, buckets]; row 0 negatives, row 1 positives.

    Examples:
        >>> metric = BucketAUC()
        >>> metric.update([0, 1, 1], [0.1, 0.8, 0.9])
        >>> metric.auc()
        1.0
    """

    def __init__(self, buckets: int = 4096) -> None:
        if buckets < 2:
            raise ValueError(f"buckets must be at least 2, got {buckets}")
        self.counts: NDArray[np.int64] = np.zeros((2, buckets), dtype=np.int64)

    @property
    def rows(self) -> int:
        """Rows counted so far."""
        return int(self.counts.sum())

    def update(self, labels: ArrayLike, probabilities: ArrayLike) -> None:
        """Count rows.

        Args:
            labels: 0 or 1, any shape.
            probabilities: as many, in [0, 1].

        Raises:
            ValueError: where lengths differ, a label is not 0 or 1, or a probability is outside [0, 1]; nothing is
                counted then.
        """
        label_column, probability_column = binary(labels, probabilities)
        outside = (probability_column < 0.0) | (probability_column > 1.0)
        if outside.any():
            raise ValueError(f"probabilities must be in [0, 1], got {probability_column[outside][0]}")
        buckets = self.counts.shape[1]
        bucket = np.minimum((probability_column * buckets).astype(np.int64), buckets - 1)
        flat = label_column.astype(np.int64) * buckets + bucket
        self.counts += np.bincount(flat, minlength=2 * buckets).reshape(2, buckets)

    def auc(self) -> float:
        """Trapezoid AUC of the counts; 0.5 where one of the classes is missing."""
        counts = self.counts.astype(np.float64)
        return area(counts[0], counts[1])

    def reset(self) -> None:
        """Forget all rows."""
        self.counts[:] = 0

    def state(self) -> Dict[str, Any]:
        """A copy of the counts, for a checkpoint."""
        return {"counts": self.counts.copy()}

    def load_state(self, state: Dict[str, Any]) -> None:
        """Continue from `state`.

        Raises:
            ValueError: where the number of buckets differs.
        """
        counts = np.asarray(state["counts"], dtype=np.int64)
        if counts.shape != self.counts.shape:
            raise ValueError(f"counts must have shape {self.counts.shape}, got {counts.shape}")
        self.counts[:] = counts
