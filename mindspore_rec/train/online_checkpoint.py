"""Callback: a checkpoint every N steps or T seconds, and one at the end."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any, Callable, Optional

from mindspore.train import Callback, RunContext

from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.train.rec_model import RecModel
from mindspore_rec.train.trainer_state import capture

logger = logging.getLogger(__name__)


class OnlineCheckpoint(Callback):
    """Writes the whole state of a trainer to a `CheckpointStore`.

    Args:
        store: where to.
        model: the trainer.
        window: progressive metrics to keep beside it.
        every_steps: a checkpoint every so many steps; 0: not by steps.
        every_seconds: a checkpoint every so many seconds; 0: not by time.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        store: CheckpointStore,
        model: RecModel,
        window: Optional[ProgressiveWindow] = None,
        *,
        every_steps: int = 0,
        every_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.last_path: Optional[Path] = None
        self._store = store
        self._model = model
        self._window = window
        self._every_steps = every_steps
        self._every_seconds = every_seconds
        self._clock = clock
        self._written_at = clock()
        self._written_step = model.progress.step

    def on_train_step_end(self, run_context: RunContext) -> None:
        """Write a checkpoint where one is due."""
        steps = self._model.progress.step - self._written_step
        seconds = self._clock() - self._written_at
        by_steps = 0 < self._every_steps <= steps
        by_time = 0 < self._every_seconds <= seconds
        if by_steps or by_time:
            self._write(run_context.original_args().train_dataset)

    def on_train_end(self, run_context: RunContext) -> None:
        """Write what was trained since the last one."""
        if self._model.progress.rows_seen and (self._model.progress.step != self._written_step or not self.last_path):
            self._write(run_context.original_args().train_dataset)

    def _write(self, dataset: Any) -> None:
        begin = self._clock()
        spec = getattr(dataset, "spec_json", None) or {}
        try:
            path = self._store.write(self._model.progress.step, capture(self._model, self._window, spec))
        except OSError as error:
            logger.error("no checkpoint was written to %s: %s; training goes on", self._store.folder, error)
        else:
            self.last_path = path
            self._written_step = self._model.progress.step
            logger.info("checkpoint %s (%.2f s)", path, self._clock() - begin)
        self._written_at = self._clock()
