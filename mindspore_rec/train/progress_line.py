"""Callback: one line every few seconds that says how training is going."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Optional

from mindspore.train import Callback, RunContext

from mindspore_rec.metrics.progressive import ProgressiveWindow

logger = logging.getLogger(__name__)


class ProgressLine(Callback):
    """Logs rows, samples/s, progressive AUC, log loss, calibration, lag and rejects.

    Args:
        window: progressive metrics to show, None for none.
        every_seconds: seconds between lines.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        window: Optional[ProgressiveWindow] = None,
        every_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._window = window
        self._every = every_seconds
        self._clock = clock
        self._first_at = self._last_at = self._line_at = 0.0
        self._first_rows: Optional[int] = None
        self._last_rows = self._line_rows = 0

    @property
    def samples_per_s(self) -> float:
        """Rows trained a second since the end of the first step, which compiled the graph."""
        seconds = self._last_at - self._first_at
        return (self._last_rows - (self._first_rows or 0)) / seconds if seconds > 0 else 0.0

    def on_train_step_end(self, run_context: RunContext) -> None:
        """Log a line where one is due."""
        cb_params = run_context.original_args()
        now, rows = self._clock(), cb_params.progress.rows_trained
        if self._first_rows is None:
            self._first_at = self._line_at = now
            self._first_rows = self._line_rows = rows
        self._last_at, self._last_rows = now, rows
        if now - self._line_at >= self._every:
            self._log(cb_params, (rows - self._line_rows) / (now - self._line_at))
            self._line_at, self._line_rows = now, rows

    def _log(self, cb_params: Any, speed: float) -> None:
        progress, info, result = cb_params.progress, cb_params.batch_info, cb_params.step_result
        parts = [f"rows {progress.rows_trained:,}", f"{speed:,.0f} samples/s"]
        if self._window is not None and self._window.rows:
            metrics = self._window.metrics()
            parts += [f"AUC {metrics.auc:.4f}", f"log loss {metrics.log_loss:.4f}", f"COPC {metrics.calibration:.3f}"]
        elif result is not None:
            parts.append(f"loss {result.loss:.4f}")
        if info is not None:
            parts.append(f"lag {info.lag:,} messages")
        if progress.rows_rejected:
            parts.append(f"rejected {progress.rows_rejected:,}")
        if progress.rows_skipped:
            parts.append(f"skipped {progress.rows_skipped:,}")
        logger.info(" | ".join(parts))
