"""What people and programs look at while passes are trained: progress, the table of a day, ``metrics.jsonl``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Dict, List, Optional, Protocol

from mindspore_rec.kill_points import reached
from mindspore_rec.metrics.day_metrics import DayMetrics
from mindspore_rec.metrics.day_table import day_table
from mindspore_rec.metrics.pass_records import PassRecord, Stage, append_records
from mindspore_rec.stream.pass_schedule import PassKey
from mindspore_rec.train.part_metrics import PartMetrics
from mindspore_rec.train.trainer_state import Kept

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


class RunReports:
    """`PassReports` of a run: bars, ``metrics.jsonl`` and the table of each day.

    What a checkpoint needs is in `kept`: a run that goes on from it sums the same day, and writes the lines of the
    passes it trains again once more, of which the last ones count.

    Args:
        folder: ``model_save_path``; None for a rank that does not write.
        bars: show how far a pass is.
    """

    def __init__(self, folder: Optional[Path], bars: Optional[ProgressBars] = None) -> None:
        self._folder = folder
        self._bars = bars or NoBars()
        self._day = DayMetrics()
        self.kept: Dict[str, Kept] = {"day": self._day}

    def begin_stage(self, key: PassKey, stage: Stage, rows: Optional[int]) -> None:
        """A pass begins to be predicted or trained; ``rows`` are to come, None where that is not known."""
        self._bars.begin_stage(key, stage, rows)

    def advance(self, rows: int) -> None:
        """So many rows more are done."""
        self._bars.advance(rows)
        reached("pass-rows")

    def end_stage(self, key: PassKey, stage: Stage, metrics: PartMetrics) -> None:
        """All of them are; call it before the checkpoint after the pass.

        Raises:
            OSError: ``metrics.jsonl`` cannot be written.
        """
        self._bars.end_stage()
        self._append([self._day.add(key, stage, metrics.all, metrics.groups)])

    def end_day(self, day: str) -> None:
        """The last pass of a day is trained; call it before the checkpoint after the pass.

        Raises:
            OSError: ``metrics.jsonl`` cannot be written.
        """
        of_day = self._day.end()
        self._append(of_day)
        logger.info("day %s is trained\n%s", day, day_table([*self._day.records, *of_day]))

    def _append(self, records: List[PassRecord]) -> None:
        if self._folder is not None:
            append_records(self._folder, records)
