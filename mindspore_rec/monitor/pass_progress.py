"""How far pass-by-pass training is: bars over passes and rows on a terminal, else a log line every few seconds."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Callable, Optional, TextIO, Type

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from mindspore_rec.metrics.pass_records import Stage
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule, day_of

logger = logging.getLogger(__name__)

_VERBS = {"Infer": "predicted", "Train": "trained"}


class PassProgress:
    """`ProgressBars` for people. While it is open on a terminal, log lines are written above the bars.

    Args:
        schedule: of the run; passes before the first that is shown were done by an earlier start.
        stream: where bars go, if it is a terminal; else lines are logged; default: stderr.
        every_seconds: between two lines.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        schedule: PassSchedule,
        stream: Optional[TextIO] = None,
        every_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._schedule = schedule
        self._total = schedule.passes_per_day * len(list(schedule.days()))
        self._done = 0
        self._stream = sys.stderr if stream is None else stream
        self._every = every_seconds
        self._clock = clock
        self._open = ExitStack()
        self._passes: Optional[tqdm[Any]] = None
        self._rows: Optional[tqdm[Any]] = None
        self._key = PassKey("", 0)
        self._stage: Stage = "Infer"
        self._stage_rows: Optional[int] = None
        self._rows_done = 0
        self._began_at = self._line_at = clock()

    def __enter__(self) -> PassProgress:
        if self._stream.isatty():
            self._passes = self._bar(0, self._total, "pass")
            self._open.enter_context(logging_redirect_tqdm())
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        with self._open:
            for bar in (self._rows, self._passes):
                if bar is not None:
                    bar.close()
        self._rows = self._passes = None

    def begin_stage(self, key: PassKey, stage: Stage, rows: Optional[int]) -> None:
        """See `ProgressBars`."""
        self._key, self._stage, self._stage_rows, self._rows_done = key, stage, rows, 0
        self._began_at = self._clock()
        self._show_done(self._passes_before(key))
        if self._passes is not None:
            self._rows = self._bar(1, rows, " rows", desc=f"{key.day} pass {key.number} {stage}")

    def advance(self, rows: int) -> None:
        """See `ProgressBars`."""
        self._rows_done += rows
        if self._rows is not None:
            self._rows.update(rows)
        elif self._passes is None and self._clock() - self._line_at >= self._every:
            self._line_at = self._clock()
            logger.info("%s", self._line())

    def end_stage(self) -> None:
        """See `ProgressBars`."""
        if self._rows is not None:
            self._rows.close()
            self._rows = None
        if self._stage == "Train":  # of the two stages the last
            self._show_done(self._passes_before(self._key) + 1)

    def _passes_before(self, key: PassKey) -> int:
        days = day_of(key.day).toordinal() - day_of(self._schedule.start_day).toordinal()
        return days * self._schedule.passes_per_day + key.number - 1

    def _show_done(self, passes: int) -> None:
        self._done = passes
        if self._passes is not None:
            self._passes.n = passes
            self._passes.refresh()

    def _line(self) -> str:
        of_all = "" if self._stage_rows is None else f" of {self._stage_rows:,}"
        seconds = self._clock() - self._began_at
        speed = f", {self._rows_done / seconds:,.0f} rows/s" if seconds > 0 else ""
        place = f"Day:{self._key.day}, Pass: {self._key.number}, {self._done} of {self._total} passes done"
        return f"{place}: {_VERBS[self._stage]} {self._rows_done:,}{of_all} rows{speed}"

    def _bar(self, position: int, total: Optional[int], unit: str, **options: Any) -> tqdm[Any]:
        return tqdm(
            total=total,
            unit=unit,
            position=position,
            leave=position == 0,
            file=self._stream,
            unit_scale=position == 1,
            dynamic_ncols=True,
            **options,
        )
