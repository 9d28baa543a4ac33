"""Progress of passes: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from typing import List

import pytest

from mindspore_rec.monitor.pass_progress import PassProgress
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule
from mindspore_rec.train.pass_reports import ProgressBars

SCHEDULE = PassSchedule("20190720", "20190721", 60, 4)
KEY = PassKey("20190720", 3)


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


def test_elsewhere_a_line_every_few_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stream, now = io.StringIO(), [100.0]
    with PassProgress(SCHEDULE, stream=stream, every_seconds=10, clock=lambda: now[0]) as progress:
        bars: ProgressBars = progress
        bars.begin_stage(KEY, "Infer", 6000)
        for seconds in range(1, 22):
            now[0] = 100.0 + seconds
            bars.advance(200)
        bars.end_stage()
        bars.begin_stage(KEY, "Train", None)
        now[0] += 9.0
        bars.advance(100)
        bars.end_stage()
        bars.begin_stage(PassKey("20190721", 1), "Infer", None)
        now[0] += 2.0
        bars.advance(7)
        now[0] += 8.0
        bars.advance(3)
    assert stream.getvalue() == ""
    assert caplog.messages == [
        "Day:20190720, Pass: 3, 2 of 12 passes done: predicted 2,000 of 6,000 rows, 200 rows/s",
        "Day:20190720, Pass: 3, 2 of 12 passes done: predicted 4,000 of 6,000 rows, 200 rows/s",
        "Day:20190720, Pass: 3, 2 of 12 passes done: trained 100 rows, 11 rows/s",
        "Day:20190721, Pass: 1, 6 of 12 passes done: predicted 10 rows, 1 rows/s",
    ]


def test_on_a_terminal_there_are_bars(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stream, now = Terminal(), [0.0]
    with PassProgress(SCHEDULE, stream=stream, clock=lambda: now[0]) as progress:
        for stage in ("Infer", "Train"):
            progress.begin_stage(KEY, stage, 6000)  # type: ignore[arg-type]
            now[0] += 60.0
            progress.advance(6000)
            progress.end_stage()
    shown = stream.getvalue()
    assert caplog.messages == []
    assert "20190720 pass 3 Infer" in shown and "20190720 pass 3 Train" in shown
    assert "6.00k" in shown
    last = shown.rstrip().split("\r")[-1]
    assert "3/12" in last and "pass" in last


def test_lines_of_the_log_go_above_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    handlers: List[logging.Handler] = [logging.StreamHandler(stream)]
    monkeypatch.setattr(logging.getLogger(), "handlers", handlers)
    with PassProgress(SCHEDULE) as progress:
        progress.begin_stage(KEY, "Train", None)
        logging.getLogger("test").warning("between")
        assert "between\n" in stream.getvalue()
        assert logging.getLogger().handlers != handlers
    assert logging.getLogger().handlers == handlers


def test_a_stage_that_broke_off_leaves_no_bar() -> None:
    stream = Terminal()
    with contextlib.suppress(KeyboardInterrupt), PassProgress(SCHEDULE, stream=stream) as progress:
        progress.begin_stage(KEY, "Train", 10)
        raise KeyboardInterrupt
    assert "2/12" in stream.getvalue().rstrip().split("\r")[-1]
    progress.advance(5)  # as after the end
