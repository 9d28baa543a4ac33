"""What pass-by-pass training tells those who watch it: log lines, the table of a day, ``metrics.jsonl``, progress."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Protocol, Tuple

import numpy as np

from mindspore_rec.metrics.day_metrics import DayMetrics
from mindspore_rec.metrics.day_table import day_table
from mindspore_rec.metrics.group_auc import GroupAUC
from mindspore_rec.metrics.pass_log import metric_line
from mindspore_rec.metrics.pass_metrics import PassMetrics
from mindspore_rec.metrics.pass_records import PassRecord, Stage, append_records
from mindspore_rec.stream.pass_schedule import PassKey

logger = logging.getLogger(__name__)


class ProgressBars(Protocol):
    """Shows how far a pass is; `PassProgress` of ``monitor/pass_progress.py`` is one."""

    def begin_stage(self, key: PassKey, stage: Stage, rows: Optional[int]) -> None:
        """A stage of a pass begins; ``rows`` are to come, None where that is not known."""

    def advance(self, rows: int) -> None:
        """So many more rows of the stage are done."""

    def end_stage(self) -> None:
        """The stage is done."""


class NoBars:
    """`ProgressBars` that show nothing."""

    def begin_stage(self, key: PassKey, stage: Stage, rows: Optional[int]) -> None:
        """See `ProgressBars`."""

    def advance(self, rows: int) -> None:
        """See `ProgressBars`."""

    def end_stage(self) -> None:
        """See `ProgressBars`."""


class PassReports:
    """The reports of a run, made by the rank that writes its checkpoints.

    Report a pass before the checkpoint that holds it, with the `state` in it: a run that goes on from there then sums
    the same day, and reports what it does again once more.

    Args:
        folder: ``model_save_path``, which is there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._day = DayMetrics()

    def end_stage(
        self, key: PassKey, stage: Stage, metrics: PassMetrics, groups: Optional[GroupAUC] = None
    ) -> PassRecord:
        """Report a stage of a pass.

        Args:
            key: day and pass.
            stage: of the pass.
            metrics: of all its rows, those of all workers.
            groups: likewise; None where there are none.

        Raises:
            ValueError: it was reported already.
            OSError: ``metrics.jsonl`` cannot be written.
        """
        record = self._day.add(key, stage, metrics, groups)
        logger.info("%s", metric_line(key, stage, record.summary))
        append_records(self._folder, [record])
        return record

    def end_day(self) -> None:
        """Report the day of the last pass, if any, and forget it.

        Raises:
            OSError: ``metrics.jsonl`` cannot be written.
        """
        of_day = self._day.end()
        if of_day:
            logger.info("day %s is done\n%s", of_day[0].day, day_table([*self._day.records, *of_day]))
            append_records(self._folder, of_day)
        self._day.reset()

    def state(self) -> Tuple[Dict[str, Any], Dict[str, np.ndarray]]:
        """The day so far, for a checkpoint: what is JSON-able, and arrays."""
        return self._day.state()

    def load_state(self, fields: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state` returned.

        Raises:
            ValueError: it is none.
        """
        self._day.load_state(fields, arrays)
