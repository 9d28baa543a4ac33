"""The trainer's figures for TensorBoard: scalars over the rows trained; see docs/monitoring.md."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any, Callable, Optional

from mindspore_rec.config import ConfigError
from mindspore_rec.monitor.trainer_figures import FIGURES, TABLE_FIGURES, Figure, TrainerFigures

logger = logging.getLogger(__name__)

AXES = ("rows", "report_timestamp_seconds")
"""Figures over which the others are drawn."""


class TensorBoardScalars:
    """A `FigureSink` that writes an events file, one for each start of the trainer.

    Rows that were trained after the checkpoint a trainer goes on from are trained again: what an earlier start wrote of
    them is not shown any more (TensorBoard's `purge_step`). A file that cannot be written ends the scalars, not
    training.

    Args:
        folder: of the events files; made where it is missing.
        now: seconds since 1970.

    Raises:
        ConfigError: tensorboardX is not installed, or there cannot be such a folder.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        try:
            from tensorboardX import event_file_writer, summary
            from tensorboardX.proto import event_pb2
        except ImportError as error:
            raise ConfigError(
                f"tensorboard_path = {str(folder)!r}: expected null where tensorboardX is not installed ({error}); "
                f"pip install 'mindspore-rec-online[tensorboard]'"
            ) from None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"tensorboard_path = {str(folder)!r}: expected a folder that can be written: {error.strerror}"
            ) from None
        # Not its SummaryWriter: that waits for ever once its thread could not write.
        self._file_writer, self._scalar, self._protocol = event_file_writer.EventsWriter, summary.scalar, event_pb2
        self._folder, self._now = folder, now
        self._file: Optional[Any] = None

    @property
    def wants_tables(self) -> bool:
        """Always."""
        return True

    def begin(self, rows: int) -> None:
        """Begin a file; what earlier ones have of later rows is out of date."""
        restart = self._protocol.SessionLog(status=self._protocol.SessionLog.START)
        try:
            self._file = self._file_writer(str(self._folder / "events"), f".{os.getpid()}.{rows}")
            self._write(self._protocol.Event(wall_time=self._now(), step=rows + 1, session_log=restart))
        except OSError as error:
            self._give_up(error)

    def step(self, seconds: float) -> None:
        """Nothing."""

    def report(self, figures: TrainerFigures) -> None:
        """Write the scalars."""
        if self._file is None:
            return
        there = [figure for figure in FIGURES if figure.name in figures.values and figure.name not in AXES]
        shown = {tag(figure): figures.values[figure.name] for figure in there}
        for table, values in figures.tables.items():
            shown.update({tag(figure, table): values[figure.name] for figure in TABLE_FIGURES})
        at = self._now()
        try:
            for name, value in shown.items():
                self._write(self._protocol.Event(wall_time=at, step=figures.rows, summary=self._scalar(name, value)))
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """End the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write(self, event: Any) -> None:
        if self._file is not None:
            self._file.write_event(event)

    def _give_up(self, error: OSError) -> None:
        logger.error("no more scalars for TensorBoard in %s: %s; training goes on", self._folder, error)
        self._file = None


def tag(figure: Figure, table: str = "") -> str:
    """What TensorBoard calls it.

    >>> tag(TABLE_FIGURES[0], "deep")
    'tables/deep/rows'
    """
    own = figure.group.rstrip("s") + "_"
    name = figure.name[len(own) :] if figure.name.startswith(own) else figure.name
    return "/".join(part for part in (figure.group, table, name) if part)
