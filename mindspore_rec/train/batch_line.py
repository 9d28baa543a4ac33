"""Callback: one line every few batches that says how an epoch or a pass is going."""

from __future__ import annotations

import logging
import time
from typing import Callable, Sequence

from mindspore.train import Callback, RunContext

from mindspore_rec.train.part_metrics import PartMetrics

logger = logging.getLogger(__name__)


class BatchLine(Callback):
    """Logs batch, loss, AUC so far and samples a second of all ranks.

    Args:
        what: is trained, such as an epoch; lines begin with it.
        metrics: of its rows, as they are trained.
        every: batches between two lines; loss and speed are of those.
        clock: seconds, monotonic.
    """

    def __init__(
        self, what: str, metrics: PartMetrics, every: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._what, self._metrics, self._every, self._clock = what, metrics, every, clock
        self._batch = self._rows = 0
        self._loss = 0.0
        self._since = clock()

    def on_train_step_end(self, run_context: RunContext) -> None:
        """Count a batch, and log a line where one is due."""
        result = run_context.original_args().step_result
        self._batch += 1
        self._rows += result.rows
        self._loss += result.loss * result.rows
        if self._batch % self._every:
            return
        now = self._clock()
        logger.info(
            "%s, batch: %d, loss: %.6f, auc: %.6f, speed: %.0f samples/s",
            self._what,
            self._batch,
            self._loss / self._rows,
            self._metrics.summary().auc,
            self._rows / max(now - self._since, 1e-9),
        )
        self._rows, self._loss, self._since = 0, 0.0, now


def batch_lines(what: str, every: int) -> Callable[[PartMetrics], Sequence[Callback]]:
    """What makes the callback of `JobModel.train`, see `BatchLine`."""
    return lambda metrics: [BatchLine(what, metrics, every)]
