"""Reports of passes: log lines, metrics.jsonl and the table of a day, also when a run goes on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import List

import numpy as np
import pytest

from mindspore_rec.metrics.day_table import day_table
from mindspore_rec.metrics.pass_log import metric_line
from mindspore_rec.metrics.pass_metrics import PassMetrics
from mindspore_rec.metrics.pass_records import FILE, PassRecord, Stage, read_records
from mindspore_rec.stream.pass_schedule import PassKey
from mindspore_rec.train.pass_reports import NoBars, PassReports, ProgressBars

DAY = "20190720"


def metrics_of(number: int) -> PassMetrics:
    random = np.random.default_rng(number)
    metrics = PassMetrics()
    metrics.update(random.integers(0, 2, 100), random.random(100))
    return metrics


def run(reports: PassReports, numbers: List[int]) -> None:
    stages: List[Stage] = ["Infer", "Train"]
    for number in numbers:
        for stage in stages:
            reports.end_stage(PassKey(DAY, number), stage, metrics_of(number))


def test_a_stage_is_logged_and_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    record = PassReports(tmp_path).end_stage(PassKey(DAY, 3), "Infer", metrics_of(3))
    assert caplog.messages == [metric_line(PassKey(DAY, 3), "Infer", metrics_of(3).summary())]
    assert read_records(tmp_path) == [record] == [PassRecord(DAY, 3, "Infer", 1, metrics_of(3).summary())]


def test_the_day_has_a_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reports = PassReports(tmp_path)
    run(reports, [1, 2])
    caplog.set_level(logging.INFO)
    reports.end_day()
    records = read_records(tmp_path)
    assert caplog.messages == [f"day {DAY} is done\n{day_table(records)}"]
    assert [(record.number, record.passes, record.summary.rows) for record in records[-2:]] == [(None, 2, 200)] * 2
    reports.end_day()  # a day that has no passes has no report
    assert len(caplog.messages) == 1 and read_records(tmp_path) == records


def test_a_run_that_goes_on_reports_what_one_without_a_break_does(tmp_path: Path) -> None:
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole, broken = PassReports(tmp_path / "whole"), PassReports(tmp_path / "broken")
    run(whole, [1, 2, 3])
    run(broken, [1])
    state = broken.state()
    run(broken, [2])  # then it is killed, in the midst of a line
    with (tmp_path / "broken" / FILE).open("a") as file:
        file.write('{"day": "2019')
    again = PassReports(tmp_path / "broken")
    again.load_state(*state)
    run(again, [2, 3])
    for reports in (whole, again):
        reports.end_day()
    assert read_records(tmp_path / "broken") == read_records(tmp_path / "whole")
    assert len((tmp_path / "broken" / FILE).read_text().splitlines()) == 10
    assert len((tmp_path / "whole" / FILE).read_text().splitlines()) == 8


def test_no_bars_are_bars() -> None:
    bars: ProgressBars = NoBars()
    bars.begin_stage(PassKey(DAY, 1), "Infer", None)
    bars.advance(3)
    bars.end_stage()
