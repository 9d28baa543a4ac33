"""Callback: an end after so many rows."""

from __future__ import annotations

from mindspore.train import Callback, RunContext

from mindspore_rec.train.progress import TrainingProgress


class StopAfter(Callback):
    """Ends `online_train` once so many rows were seen by all ranks; the last batch may go beyond.

    Args:
        progress: of the model.
        rows: trained, rejected or skipped; 0: never.
    """

    def __init__(self, progress: TrainingProgress, rows: int) -> None:
        super().__init__()
        self._progress, self._rows = progress, rows

    def on_train_begin(self, run_context: RunContext) -> None:
        """Nothing is left where they were seen before."""
        self._check(run_context)

    def on_train_step_end(self, run_context: RunContext) -> None:
        """Look whether it was the last step."""
        self._check(run_context)

    def _check(self, run_context: RunContext) -> None:
        if 0 < self._rows <= self._progress.rows_seen:
            run_context.request_stop()
