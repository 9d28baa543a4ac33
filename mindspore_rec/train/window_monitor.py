"""Callback: progressive metrics, from the predictions each training step makes before it learns."""

from __future__ import annotations

from typing import Optional, Tuple

import numpy as np
from mindspore.train import Callback, RunContext

from mindspore_rec.metrics.progressive import ProgressiveWindow


class WindowMonitor(Callback):
    """Feeds a `ProgressiveWindow` with the logits and labels of every step of `online_train`, `train` or `fit`.

    Args:
        window: the window; its state belongs in the checkpoint.
    """

    def __init__(self, window: ProgressiveWindow) -> None:
        super().__init__()
        self.window = window
        self._source_rows = np.full(window.size, -1, dtype=np.int64)
        self._next = 0

    def on_train_step_end(self, run_context: RunContext) -> None:
        """Take in the rows of one step."""
        cb_params = run_context.original_args()
        result = getattr(cb_params.train_network, "result", None)
        if result is None or result.logits is None or result.skipped:
            return
        self.window.update(result.labels, sigmoid(result.logits))
        info = cb_params.get("batch_info")  # `train` of the framework knows no positions
        if info is not None:
            self._note(info.source_rows[-self.window.size :])

    @property
    def source_rows(self) -> Optional[Tuple[int, int]]:
        """First and last source row number of the window, None where they are unknown."""
        known = self._source_rows[self._source_rows >= 0]
        return (int(known.min()), int(known.max())) if known.size else None

    def _note(self, rows: np.ndarray) -> None:
        at = (self._next + np.arange(rows.size)) % self.window.size
        self._source_rows[at] = rows
        self._next = (self._next + rows.size) % self.window.size


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-z)) as float64, without overflow.

    >>> sigmoid(np.array([0.0, -1000.0])).tolist()
    [0.5, 0.0]
    """
    z = logits.astype(np.float64)
    return np.asarray(np.exp(-np.logaddexp(0.0, -z)))
