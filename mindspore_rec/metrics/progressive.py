"""Progressive metrics over the newest rows of a stream.

Every row is predicted before it is trained on (progressive validation; Blum, Kalai and Langford, 1999), so the metrics
of the newest window are those of data never seen.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mindspore_rec.metrics.auc import auc
from mindspore_rec.metrics.columns import binary
from mindspore_rec.metrics.pointwise import calibration, log_loss


class WindowMetrics(NamedTuple):
    """Metrics of one window of rows."""

    rows: int
    auc: float
    log_loss: float
    calibration: float


class ProgressiveWindow:
    """A ring of the last `size` labels and predictions.

    Args:
        size: rows in the window.

    Examples:
        >>> window = ProgressiveWindow(size=2)
        >>> window.update([1, 0], [0.5, 0.6])
        >>> window.update([1], [0.9])
        >>> window.rows, window.auc()
        (3, 1.0)
        >>> window.first_window().auc
        0.0
    """

    def __init__(self, size: int = 100_000) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self._size = size
        self._rows = 0
        self._labels: NDArray[np.float64] = np.zeros(size)
        self._probabilities: NDArray[np.float64] = np.zeros(size)
        self._first: Optional[WindowMetrics] = None

    @property
    def size(self) -> int:
        """Rows the window holds when full."""
        return self._size

    @property
    def rows(self) -> int:
        """Rows seen since the beginning."""
        return self._rows

    def update(self, labels: ArrayLike, probabilities: ArrayLike) -> None:
        """Append rows, in the order they were predicted.

        Args:
            labels: 0 or 1, any shape, any number of rows.
            probabilities: finite, as many.

        Raises:
            ValueError: where lengths differ, a label is not 0 or 1, or a probability is not finite; the window is
                unchanged then.
        """
        label_column, probability_column = binary(labels, probabilities)
        # The first window ends inside this batch: its metrics are taken at exactly `size` rows.
        head = min(max(self._size - self._rows, 0), label_column.size)
        self._append(label_column[:head], probability_column[:head])
        if self._first is None and self._rows == self._size:
            self._first = self.metrics()
        self._append(label_column[head:], probability_column[head:])

    def auc(self) -> float:
        """Exact AUC of the window; 0.5 where one of the classes is missing."""
        held = min(self._rows, self._size)
        return auc(self._labels[:held], self._probabilities[:held])

    def log_loss(self) -> float:
        """Log loss of the window, in nats; nan before the first row."""
        held = min(self._rows, self._size)
        return log_loss(self._labels[:held], self._probabilities[:held])

    def calibration(self) -> float:
        """Clicks over predicted clicks of the window; nan before the first row."""
        held = min(self._rows, self._size)
        return calibration(self._labels[:held], self._probabilities[:held])

    def metrics(self) -> WindowMetrics:
        """All metrics of the newest `size` rows (of all rows where fewer were seen)."""
        return WindowMetrics(min(self._rows, self._size), self.auc(), self.log_loss(), self.calibration())

    def first_window(self) -> Optional[WindowMetrics]:
        """Metrics of the first `size` rows of the stream; None until they are complete."""
        return self._first

    def state(self) -> Dict[str, Any]:
        """Copies of all that `load_state` needs, for a checkpoint.

        Returns:
            size int, rows int, labels uint8[k] and probabilities float64[k] of the ring (k = min(rows, size), in ring
            order), first_window float64[0] or float64[3] (auc, log loss, calibration).
        """
        held = min(self._rows, self._size)
        return {
            "size": self._size,
            "rows": self._rows,
            "labels": self._labels[:held].astype(np.uint8),
            "probabilities": self._probabilities[:held].copy(),
            "first_window": np.array(self._first[1:] if self._first else (), dtype=np.float64),
        }

    def load_state(self, state: Dict[str, Any]) -> None:
        """Continue from `state`: what follows equals a run that was never interrupted, to the bit.

        Raises:
            ValueError: where the state is of a window of another size, or its arrays do not fit its rows.
        """
        size, rows = int(state["size"]), int(state["rows"])
        if size != self._size:
            raise ValueError(f"metrics window: the state holds {size} rows, this window {self._size}")
        held = min(rows, size)
        labels, probabilities = binary(state["labels"], state["probabilities"])
        first = np.asarray(state["first_window"], dtype=np.float64).reshape(-1)
        if rows < 0 or labels.size != held or first.size != (3 if rows >= size else 0):
            raise ValueError(f"metrics window: arrays do not fit {rows} rows in a window of {size}")
        self._rows = rows
        self._labels[:held] = labels
        self._probabilities[:held] = probabilities
        self._first = WindowMetrics(size, float(first[0]), float(first[1]), float(first[2])) if first.size else None

    def _append(self, labels: NDArray[np.float64], probabilities: NDArray[np.float64]) -> None:
        kept = min(labels.size, self._size)
        slots = np.arange(self._rows + labels.size - kept, self._rows + labels.size) % self._size
        self._labels[slots] = labels[labels.size - kept :]
        self._probabilities[slots] = probabilities[labels.size - kept :]
        self._rows += labels.size
