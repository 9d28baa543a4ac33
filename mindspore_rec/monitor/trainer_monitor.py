"""Callback: takes the figures of a trainer every few seconds and shows them in several places."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Type

from mindspore.train import Callback, RunContext

from mindspore_rec.embedding.table import HashTable
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.monitor.trainer_figures import FIGURES, FigureSink, TrainerFigures, table_values
from mindspore_rec.train.online_checkpoint import OnlineCheckpoint

TABLE_SECONDS = 10.0
"""Least time between two readings of the tables: their indexes are read from end to end."""
_PUBLICATION = "publication_"


class TrainerMonitor(Callback):
    """Hands figures to sinks; one rank of a job has one.

    Args:
        sinks: where they are shown.
        window: progressive metrics, None where there are none.
        tables: by name.
        checkpoint: the callback that writes checkpoints, None where there is none.
        publications: returns figures of the newest publication, as far as they are known: version, held, bytes,
            quantiles of click_to_servable. None where nothing is published.
        every_seconds: between two reports.
        clock: seconds, monotonic.
        now: seconds since 1970.
    """

    def __init__(
        self,
        sinks: Sequence[FigureSink],
        window: Optional[ProgressiveWindow] = None,
        tables: Optional[Mapping[str, HashTable]] = None,
        *,
        checkpoint: Optional[OnlineCheckpoint] = None,
        publications: Optional[Callable[[], Mapping[str, float]]] = None,
        every_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._sinks, self._window, self._tables = tuple(sinks), window, dict(tables or {})
        self._checkpoint, self._publications = checkpoint, publications
        self._every, self._clock, self._now = every_seconds, clock, now
        self._reported_at = self._step_at = clock()
        self._read_at = -math.inf
        self._reported_rows = self._rows = 0
        self._loss = 0.0

    def on_train_begin(self, run_context: RunContext) -> None:
        """Begin the count of rows a second."""
        self._reported_rows = run_context.original_args().progress.rows_trained
        self._reported_at = self._clock()
        for sink in self._sinks:
            sink.begin(self._reported_rows)

    def on_train_step_begin(self, run_context: RunContext) -> None:
        """A batch is there."""
        self._step_at = self._clock()

    def on_train_step_end(self, run_context: RunContext) -> None:
        """Take in a step, and report where it is time."""
        cb_params = run_context.original_args()
        now = self._clock()
        for sink in self._sinks:
            sink.step(now - self._step_at)
        result = cb_params.step_result
        if result is not None:
            self._rows += result.rows
            self._loss += result.loss * result.rows
        if now - self._reported_at >= self._every:
            self._report(cb_params, now)

    def on_train_end(self, run_context: RunContext) -> None:
        """Report how it ended."""
        self._report(run_context.original_args(), self._clock())
        self._close()

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._close()

    def _close(self) -> None:
        for sink in self._sinks:
            sink.close()

    def _report(self, cb_params: Any, at: float) -> None:
        progress = cb_params.progress
        values: Dict[str, float] = {
            "rows": progress.rows_trained,
            "rejected_rows": progress.rows_rejected,
            "skipped_rows": progress.rows_skipped,
            "steps": progress.step,
            "report_timestamp_seconds": self._now(),
        }
        seconds = at - self._reported_at
        if seconds > 0:
            values["samples_per_second"] = (progress.rows_trained - self._reported_rows) / seconds
        if self._rows:
            values["loss"] = self._loss / self._rows
        if self._window is not None and self._window.rows:
            metrics = self._window.metrics()
            values.update(auc=metrics.auc, log_loss=metrics.log_loss, calibration=metrics.calibration)
        info = cb_params.get("batch_info")
        if info is not None:
            values["lag_messages"] = info.lag
        if progress.event_time >= 0:
            values["event_lag_seconds"] = self._now() - progress.event_time / 1000
        if self._checkpoint is not None and self._checkpoint.last_path is not None:
            values["checkpoint_seconds"] = self._checkpoint.last_seconds
            values["checkpoint_stall_seconds"] = self._checkpoint.last_stall
        if self._publications is not None:
            values.update({_PUBLICATION + name: value for name, value in self._publications().items()})
        known = {figure.name: float(values[figure.name]) for figure in FIGURES if figure.name in values}
        figures = TrainerFigures(progress.rows_trained, progress.event_time, known, self._table_figures(at))
        for sink in self._sinks:
            sink.report(figures)
        self._reported_at, self._reported_rows = at, progress.rows_trained
        self._rows, self._loss = 0, 0.0

    def _table_figures(self, at: float) -> Dict[str, Dict[str, float]]:
        """Of all tables, where a sink wants them and they were not read just now.

        Only this thread may read them: while they grow, no other can.
        """
        wanted = any(sink.wants_tables for sink in self._sinks)
        if not wanted or at - self._read_at < TABLE_SECONDS:
            return {}
        self._read_at = at
        return {name: table_values(table.stats()) for name, table in self._tables.items()}
